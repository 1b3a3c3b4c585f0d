import Spool
import Yams

/// Typed reads. Each takes the key, so bounds, choices and defaults come from the same list that the JSON Schema is
/// held to; each throws a configuration error that says what was expected, what stands there and on which line.
extension ConfigurationSection {
    /// A scalar after expansion.
    private struct Scalar {
        let text: String
        let isExpanded: Bool
        /// Not quoted, so YAML would read numbers and booleans as such.
        let isPlain: Bool
        /// What a message may show: the file's text, never a variable's value.
        let shown: String

        /// Text that YAML would not read as text.
        var isOtherType: Bool {
            guard isPlain, !isExpanded else { return false }
            return ConfigurationSection.boolean(text) != nil || Double(text) != nil
        }
    }

    /// - Returns: nil where the value is empty after an expansion: `${NAME:-}` makes a key optional.
    private func scalar(_ value: ConfigurationValue, expected: String) throws(Failure) -> Scalar? {
        guard case .scalar(let scalar) = value.node else {
            throw reader.failure(at: value.path, line: value.line, "expected \(expected), got \(value.shown)")
        }
        let text: String
        do {
            text = try reader.expansion.expand(scalar.string)
        } catch {
            throw reader.failure(at: value.path, line: value.line, error.message, hint: error.hint)
        }
        let isExpanded = text != scalar.string
        if text.isEmpty, isExpanded { return nil }
        return Scalar(
            text: text, isExpanded: isExpanded, isPlain: scalar.style == .plain, shown: value.shown)
    }

    private func typed(_ key: ConfigurationKey, expected: String) throws(Failure) -> (ConfigurationValue, Scalar)? {
        guard let entry = entry(key.name), let scalar = try scalar(entry.value, expected: expected) else { return nil }
        // A number in quotes is text, unless a variable stands in it: JSON files have no other way.
        if !scalar.isPlain, !scalar.isExpanded {
            throw reader.failure(
                at: entry.value.path, line: entry.value.line,
                "expected \(expected), got the text \(scalar.shown)", hint: "Remove the quotes.")
        }
        return (entry.value, scalar)
    }

    private static func boolean(_ text: String) -> Bool? {
        switch text {
        case "true", "True", "TRUE": true
        case "false", "False", "FALSE": false
        default: nil
        }
    }

    private func mismatch(_ value: ConfigurationValue, _ expected: String, _ hint: String? = nil) -> Failure {
        reader.failure(at: value.path, line: value.line, "expected \(expected), got \(value.shown)", hint: hint)
    }

    // MARK: Text

    /// - Returns: the default, if there is one, where the key is absent.
    func text(_ key: ConfigurationKey, allowsEmpty: Bool = false) throws(Failure) -> String? {
        try givenText(key, allowsEmpty: allowsEmpty) ?? key.defaultText
    }

    /// - Returns: nil where the key is absent, for values that something comes before the default of.
    func givenText(_ key: ConfigurationKey, allowsEmpty: Bool = false) throws(Failure) -> String? {
        guard let entry = entry(key.name) else { return nil }
        return try text(entry.value, allowsEmpty: allowsEmpty)
    }

    private func text(_ value: ConfigurationValue, allowsEmpty: Bool) throws(Failure) -> String? {
        guard let scalar = try scalar(value, expected: "text") else { return nil }
        if scalar.isOtherType { throw mismatch(value, "text", "Put it in quotes.") }
        if scalar.text.isEmpty, !allowsEmpty {
            throw reader.failure(at: value.path, line: value.line, "must not be empty")
        }
        return scalar.text
    }

    func requiredText(_ key: ConfigurationKey, hint: String? = nil) throws(Failure) -> String {
        guard let text = try text(key) else { throw missing(key, hint: hint) }
        return text
    }

    func choice<Choice: RawRepresentable & CaseIterable>(
        _ key: ConfigurationKey, as type: Choice.Type
    ) throws(Failure) -> Choice? where Choice.RawValue == String {
        let names = Choice.allCases.map(\.rawValue)
        let expected = "one of \(names.joined(separator: ", "))"
        guard let entry = entry(key.name), let scalar = try scalar(entry.value, expected: expected) else {
            return key.defaultText.flatMap(Choice.init(rawValue:))
        }
        guard let choice = Choice(rawValue: scalar.text) else {
            let nearest = NearestName.of(scalar.text, among: names).map { "Did you mean \"\($0)\"?" }
            throw mismatch(entry.value, expected, scalar.isExpanded ? nil : nearest)
        }
        return choice
    }

    // MARK: Numbers

    /// - Returns: the default where the key is absent.
    func flag(_ key: ConfigurationKey) throws(Failure) -> Bool {
        guard let (value, scalar) = try typed(key, expected: "true or false") else { return key.defaultText == "true" }
        guard let flag = Self.boolean(scalar.text) else { throw mismatch(value, "true or false") }
        return flag
    }

    /// - Returns: the default where the key is absent.
    func number(_ key: ConfigurationKey) throws(Failure) -> Int64 {
        guard case .number(let bounds) = key.value else { return 0 }
        let upper = bounds.upperBound == ConfigurationKey.unbounded ? " on" : " to \(bounds.upperBound)"
        let expected = "a whole number from \(bounds.lowerBound)\(upper)"
        guard let (value, scalar) = try typed(key, expected: expected) else {
            return key.defaultText.flatMap { Int64($0) } ?? bounds.lowerBound
        }
        guard let number = Int64(scalar.text), bounds.contains(number) else { throw mismatch(value, expected) }
        return number
    }

    /// - Returns: the default where the key is absent.
    func duration(_ key: ConfigurationKey) throws(Failure) -> Duration {
        let expected = "a duration such as 90s, 5m, 12h or 7d"
        guard let entry = entry(key.name), let scalar = try scalar(entry.value, expected: expected) else {
            return key.defaultText.flatMap(ValueText.duration) ?? .zero
        }
        guard let duration = ValueText.duration(scalar.text) else { throw mismatch(entry.value, expected) }
        return duration
    }

    /// - Returns: the default, if there is one, where the key is absent.
    func bytes(_ key: ConfigurationKey) throws(Failure) -> Int64? {
        let bounds: ClosedRange<Int64>
        let allowsNumber: Bool
        switch key.value {
        case .size(let range): (bounds, allowsNumber) = (range, false)
        case .bytes(let range): (bounds, allowsNumber) = (range, true)
        default: return nil
        }
        var expected = "a size such as 512KiB, 10MiB or 20GiB"
        if allowsNumber { expected += ", or a number of bytes" }
        if bounds.lowerBound > 1 { expected += ", from \(ValueText.text(ofBytes: bounds.lowerBound))" }
        if bounds.upperBound < ConfigurationKey.unbounded {
            expected += " to \(ValueText.text(ofBytes: bounds.upperBound))"
        }
        guard let entry = entry(key.name), let scalar = try scalar(entry.value, expected: expected) else {
            return key.defaultText.flatMap(ValueText.size)
        }
        let number = ValueText.size(scalar.text) ?? (allowsNumber ? Int64(scalar.text) : nil)
        guard let number, bounds.contains(number) else { throw mismatch(entry.value, expected) }
        return number
    }

    func lookback(_ key: ConfigurationKey) throws(Failure) -> Lookback? {
        let expected = "a duration such as 5m, or a whole number for an integer watermark"
        guard let entry = entry(key.name), let scalar = try scalar(entry.value, expected: expected) else { return nil }
        if let number = Int64(scalar.text), number >= 0 { return .number(number) }
        guard let duration = ValueText.duration(scalar.text) else { throw mismatch(entry.value, expected) }
        return .duration(duration)
    }

    // MARK: Lists and maps

    /// - Throws: also where one text stands twice.
    func texts(_ key: ConfigurationKey, allowsEmptyText: Bool = false) throws(Failure) -> [String]? {
        guard let entry = entry(key.name) else { return nil }
        guard case .sequence(let list) = entry.value.node else { throw mismatch(entry.value, "a list, such as [a, b]") }
        var texts: [String] = []
        for node in list {
            let item = ConfigurationValue(
                node: node, path: entry.value.path, line: node.mark?.line ?? entry.value.line)
            guard let text = try text(item, allowsEmpty: allowsEmptyText) else { continue }
            if texts.contains(where: { $0.exact == text.exact }) {
                throw reader.failure(at: item.path, line: item.line, "\"\(text)\" stands twice in the list")
            }
            texts.append(text)
        }
        return texts
    }

    /// The entries of a map of names, in the file's order; empty where the key is absent.
    func map(_ key: ConfigurationKey) throws(Failure) -> [(name: String, value: String, line: Int)] {
        guard let entry = entry(key.name) else { return [] }
        guard case .mapping = entry.value.node else {
            throw mismatch(entry.value, "a mapping, such as {a: b}")
        }
        var pairs: [(name: String, value: String, line: Int)] = []
        for item in try ConfigurationSection(entry.value, reader: reader).entries {
            guard let text = try text(item.value, allowsEmpty: false) else { continue }
            pairs.append((item.name, text, item.line))
        }
        return pairs
    }
}
