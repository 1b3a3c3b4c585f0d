/// What an object holds.
package enum ObjectFormat: String, Sendable, CaseIterable {
    case csv
    case jsonl
    case parquet

    /// By the end of a name, from which `.gz` or `.zst` has been taken; nil where it does not tell.
    static func of(_ name: Substring) -> ObjectFormat? {
        guard let point = name.lastIndex(of: ".") else { return nil }
        switch name[name.index(after: point)...].lowercased() {
        case "csv": return .csv
        case "jsonl", "ndjson": return .jsonl
        case "parquet": return .parquet
        default: return nil
        }
    }
}

/// How a stream's objects are read.
package struct FilesRequest: Sendable, Equatable {
    /// Nil: by the end of each object's name.
    package var format: ObjectFormat?
    package var csv = CSVOptions()
    /// Of CSV; empty: UTF-8.
    package var encoding = ""
    /// A line that can't be parsed stops the run; else it is spooled as a rejected row.
    package var stopsAtBadRow = false

    package init() {}
}
