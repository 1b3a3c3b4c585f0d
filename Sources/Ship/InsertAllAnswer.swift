internal import JSONBytes

/// The body of a 200 to insertAll: which rows were not taken, and why.
struct InsertAllAnswer: Equatable, Sendable {
    /// What BigQuery says about one row. The strongest of its errors decides.
    struct RowError: Equatable, Sendable {
        enum Class: Int, Sendable {
            /// Not looked at because another row was bad: to be sent again as it is.
            case stopped
            /// Too fast; however often it happens, the row is fine.
            case rateLimited
            /// `timeout`, `backendError`, `internalError`, and every reason we do not know.
            case transient
            /// A column that BigQuery does not know (yet): never the row's fault.
            case noSuchField
            /// The row will never be taken.
            case invalid
        }

        var kind: Class
        var reason: String
        var message: String
    }

    /// By index into the request's rows. Empty: all were taken.
    var errors: [Int: RowError]

    /// Parses an answer strictly. Nil if anything about it is not as documented: then nothing it says can be trusted, and the rows' fate is
    /// unknown. An index out of range, negative, given as text or given twice is such a thing.
    init?(_ body: [UInt8], rows: Int) {
        let parsed: [Int: RowError]? = body.withUnsafeBytes { bytes in
            guard let start = bytes.baseAddress else { return nil }
            var reader = JSONReader(start.assumingMemoryBound(to: UInt8.self), count: bytes.count)
            return try? Self.read(&reader, rows: rows)
        }
        guard let parsed else { return nil }
        errors = parsed
    }

    private struct Unreadable: Error {}

    private static func read(_ reader: inout JSONReader, rows: Int) throws -> [Int: RowError]? {
        var errors: [Int: RowError]?
        var isKnown = true
        if try reader.enterObject() {
            repeat {
                let key = try reader.readKey()
                switch reader.string(key) {
                case "kind":
                    let kind = try reader.readString()
                    guard reader.matches(kind, "bigquery#tableDataInsertAllResponse") else { throw Unreadable() }
                case "insertErrors":
                    guard errors == nil else { throw Unreadable() }
                    errors = try readErrors(&reader, rows: rows)
                case "etag":
                    try reader.skipValue(depth: 1)
                default:
                    // `{"error": ...}` or something else under a 200 is not insertAll speaking.
                    isKnown = false
                    try reader.skipValue(depth: 1)
                }
            } while try reader.hasNextMember()
        }
        try reader.finish()
        return isKnown ? errors ?? [:] : nil
    }

    private static func readErrors(_ reader: inout JSONReader, rows: Int) throws -> [Int: RowError] {
        var errors: [Int: RowError] = [:]
        guard try reader.enterArray() else { return errors }
        repeat {
            var index: Int?
            var found: RowError?
            guard try reader.enterObject() else { throw Unreadable() }
            repeat {
                let key = try reader.readKey()
                switch reader.string(key) {
                case "index":
                    let number = try reader.readNumber()
                    guard index == nil, let value = Int(String(decoding: reader.raw(number), as: UTF8.self)),
                        (0..<rows).contains(value)
                    else { throw Unreadable() }
                    index = value
                case "errors":
                    guard found == nil else { throw Unreadable() }
                    found = try readReasons(&reader)
                default:
                    try reader.skipValue(depth: 2)
                }
            } while try reader.hasNextMember()
            guard let index, errors[index] == nil else { throw Unreadable() }
            errors[index] = found ?? RowError(kind: .transient, reason: "unknown", message: "no reason was given")
        } while try reader.hasNextItem()
        return errors
    }

    private static func readReasons(_ reader: inout JSONReader) throws -> RowError? {
        var strongest: RowError?
        guard try reader.enterArray() else { return nil }
        repeat {
            let value = try reader.readValue(depth: 3)
            guard value.objectValue != nil else { throw Unreadable() }
            let error = classify(
                reason: value["reason"]?.stringValue ?? "", location: value["location"]?.stringValue ?? "",
                message: value["message"]?.stringValue ?? "")
            if strongest.map({ $0.kind.rawValue < error.kind.rawValue }) ?? true { strongest = error }
        } while try reader.hasNextItem()
        return strongest
    }

    private static func classify(reason: String, location: String, message: String) -> RowError {
        let kind: RowError.Class =
            switch reason {
            case "stopped": .stopped
            case "rateLimitExceeded", "quotaExceeded": .rateLimited
            case "invalid":
                message.lowercased().contains("no such field") ? .noSuchField : .invalid
            default: .transient
            }
        var text = message.limited(toUTF16: 1000)
        if !location.isEmpty, !text.contains(location) {
            text = text.isEmpty ? "column \(location)" : "\(location.limited(toUTF16: 300)): \(text)"
        }
        return RowError(
            kind: kind, reason: reason.isEmpty ? "unknown" : reason.limited(toUTF16: 100), message: text)
    }
}
