internal import Spool

/// What a page holds of its records until rows are made of them.
extension PageBuilder {
    /// One value of a record: where its JSON stands in `values`.
    struct Slot {
        var field: Int32
        var type: ValueType
        var start: Int
        var end: Int
    }

    /// One record of the page.
    struct Record {
        var slots: Range<Int>
        var id: Range<Int>?
        var path: Range<Int>?
        var createdAt: Timestamp?
        var updatedAt: Timestamp?
        var version: Range<Int>
        var identity: Range<Int>
        var sortKey: Range<Int>?
        var knownKey: Range<Int>?
        var knownVersion: Range<Int>?
        var operation = RowOperation.upsert
        var mayRepeat = false
        /// The record's rescued values, in `rescues`.
        var rescues: Range<Int> = 0..<0
        /// The version is the hash of the fields, made at the page's end; `version` is not looked at.
        var hashesFields = false
        /// For a record without a key: equal records are counted within this scope, and `identity` is the first of three parts.
        var countScope: Range<Int>?
        /// Of equal records within the scope only the first becomes a row: for a record with a key that nothing makes unique.
        var dropsEqualRows = false
        /// Set for a record whose equals are counted within an object's reading, in place of the scope.
        var object: ObjectReading?
        /// Equal records before this one within its scope.
        var equalsBefore = 0
        /// Earlier changes of this key (`#n`).
        var changes = 0
        /// True for a version that is known already: no row is made of it.
        var isUnchanged = false
        /// From a source whose values have no types of their own.
        var isUntyped = false
        /// Set for a record that is spooled as rejected at once.
        var rejection: (reason: String, message: String)?
        /// Set by `hashFields`.
        var text: HashedText?
    }

    /// The fields of a record as JSON, and their hash.
    struct HashedText {
        /// From the comma before the first member to the closing brace; in `texts`.
        var members: Range<Int>
        /// Lower-case hex; in `texts`.
        var hash: Range<Int>
        /// The hash as knownVersions keep it: its first 16 bytes.
        var known: KnownHash
    }

    /// A value that has no form in its own type.
    struct Rescue {
        /// A field, or -1 for a member that belongs to no field.
        var field: Int32
        /// The member's name where there is no field.
        var name: String
        /// The value as finished JSON.
        var value: Range<Int>
    }
}
