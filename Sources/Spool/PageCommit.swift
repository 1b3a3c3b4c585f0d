/// Everything that becomes durable together with a page of rows: all of it or nothing.
package struct PageCommit: Sendable {
    package var run: Run
    package var rows: RowBatch
    /// Where the run stands once this page is stored.
    package var position: String?
    /// The watermark that is true once this page is stored; nil leaves it as it is.
    package var watermark: Watermark?
    /// Rows whose sort key lies below are no longer looked up; nil: this stream keeps no recent ids.
    package var recentFloor: [UInt8]?
    /// Look repeated rows up in the temporary index of `indexSpooledRows` as well.
    package var usesTemporaryIndex = false
    /// Fields seen for the first time, with their columns.
    package var newColumns: [ColumnName] = []
    /// Records read and reads billed since the last commit.
    package var rowsRead = 0
    package var sourceReads = 0
    /// Findings of a keys-only scan to add or to take away.
    package var findings: [ScanFinding] = []
    package var settledFindings: [[UInt8]] = []
    package var lastExtractedAt: Timestamp?
    /// Keys that were met in this run in the version that is known.
    package var seenKeys = PackedKeys()
    /// Records of the page that are known in their present version and have no row here.
    package var unchanged = 0
    /// How many equal rows without a key there are now.
    package var equalRows: [EqualRows] = []

    /// Rows without a key met in objects.
    package var objectLog: [ObjectLogEntry] = []
    /// Objects that have been read to their end.
    package var objectsRead: [ObjectRead] = []

    package init(run: Run, rows: RowBatch) {
        self.run = run
        self.rows = rows
    }
}

/// A source field and its column. The base name is remembered for ever; the final one follows the configuration's `rename`.
package struct ColumnName: Sendable, Equatable {
    package var field: ExactText
    package var base: String
    package var column: String

    package init(field: ExactText, base: String, column: String) {
        self.field = field
        self.base = base
        self.column = column
    }
}

/// A document that a keys-only scan found to be new, changed or gone.
package struct ScanFinding: Sendable, Equatable {
    package enum Kind: Int, Sendable {
        case changed = 0
        case gone = 1
    }

    package var key: [UInt8]
    package var kind: Kind
    /// The last known version of what is gone.
    package var version: [UInt8]?

    package init(key: [UInt8], kind: Kind, version: [UInt8]? = nil) {
        self.key = key
        self.kind = kind
        self.version = version
    }
}

package struct AppendResult: Sendable, Equatable {
    package var spooled = 0
    /// Versions that had been spooled before.
    package var unchanged = 0
    package var deletes = 0

    package init(spooled: Int = 0, unchanged: Int = 0, deletes: Int = 0) {
        self.spooled = spooled
        self.unchanged = unchanged
        self.deletes = deletes
    }
}
