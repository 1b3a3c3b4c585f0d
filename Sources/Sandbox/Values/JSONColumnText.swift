internal import JSONBytes

/// A value of a JSON column as it is stored: members sorted by name, of repeated names the first, no white space, numbers in INT64, UINT64
/// or FLOAT64 only (json-data and data-types pages).
enum JSONColumnText {
    static let maximumNesting = 500

    /// Nil if the bytes are no JSON, are nested too deeply, or hold a number that no type of the column can hold.
    static func canonical(_ bytes: UnsafeRawBufferPointer) -> String? {
        guard let value = try? JSONValue(parsing: bytes), let sorted = sorted(value, depth: 0) else { return nil }
        return sorted.text
    }

    private static func sorted(_ value: JSONValue, depth: Int) -> JSONValue? {
        guard depth <= maximumNesting else { return nil }
        switch value {
        case .number(let text):
            guard Int64(text) != nil || UInt64(text) != nil || Double(text)?.isFinite == true else { return nil }
            return value
        case .array(let items):
            var result: [JSONValue] = []
            for item in items {
                guard let item = sorted(item, depth: depth + 1) else { return nil }
                result.append(item)
            }
            return .array(result)
        case .object(let members):
            var names: Set<[UInt8]> = []
            var result: [JSONMember] = []
            // By their bytes: a `String` takes names that only look alike for one.
            for member in members where names.insert(Array(member.name.utf8)).inserted {
                guard let value = sorted(member.value, depth: depth + 1) else { return nil }
                result.append(JSONMember(member.name, value))
            }
            return .object(result.sorted { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) })
        default: return value
        }
    }
}
