import Yams

extension Failure {
    /// A configuration error with its place: `etl.yaml: streams.memos.parallel: expected ... (line 31)`.
    static func located(file: String, path: String, line: Int?, _ problem: String, hint: String? = nil) -> Failure {
        let place = path.isEmpty ? file : "\(file): \(path)"
        return .config("\(place): \(problem)\(line.map { " (line \($0))" } ?? "")", hint: hint)
    }
}

/// Reads the YAML of one file into a tree whose every value knows its path and line.
///
/// Not Sendable: it lives only while the file is read, and collects the lines of what it was asked for.
final class ConfigurationReader {
    let displayName: String
    let expansion: VariableExpansion
    /// The line of every key met so far, by its dotted path.
    private(set) var lines: [String: Int] = [:]

    init(displayName: String, environment: [String: String]) {
        self.displayName = displayName
        expansion = VariableExpansion(environment: environment)
    }

    /// - Returns: nil for a file that holds nothing but comments.
    func root(of text: String) throws(Failure) -> ConfigurationValue? {
        let node: Node?
        do {
            // `.basic` leaves every scalar text: the key decides which type its value must have, not its looks.
            let yaml = Self.withoutSurrogateEscapes(Self.withoutByteOrderMark(text))
            node = try Parser(yaml: yaml, resolver: .basic, encoding: .utf8).singleRoot()
        } catch let error as YamlError {
            throw failure(for: error, text: text)
        } catch {
            throw failure(at: "", line: nil, "the file is not valid YAML")
        }
        return node.map { ConfigurationValue(node: $0, path: "", line: $0.mark?.line ?? 1) }
    }

    /// Some editors put one in front; libYAML takes it for content.
    private static func withoutByteOrderMark(_ text: String) -> String {
        text.unicodeScalars.first == "\u{feff}" ? String(text.unicodeScalars.dropFirst()) : text
    }

    /// JSON writes a character beyond the first 65,536 as two escapes, which YAML does not know.
    private static func withoutSurrogateEscapes(_ text: String) -> String {
        guard text.first(where: { !$0.isWhitespace }) == "{" else { return text }
        let source = Array(text.utf16)
        var units: [UInt16] = []
        var at = 0
        func escaped(at start: Int) -> UInt16? {
            guard start + 6 <= source.count, source[start] == 0x5C, source[start + 1] == 0x75 else { return nil }
            return UInt16(String(decoding: source[start + 2..<start + 6], as: UTF16.self), radix: 16)
        }
        while at < source.count {
            if let high = escaped(at: at), UTF16.isLeadSurrogate(high), let low = escaped(at: at + 6),
                UTF16.isTrailSurrogate(low)
            {
                units += [high, low]
                at += 12
            } else {
                // An escape is passed over whole: its second character begins none.
                let length = source[at] == 0x5C && at + 1 < source.count ? 2 : 1
                units += source[at..<at + length]
                at += length
            }
        }
        return String(decoding: units, as: UTF16.self)
    }

    func record(_ path: String, line: Int) { lines[path] = line }

    func failure(at path: String, line: Int?, _ problem: String, hint: String? = nil) -> Failure {
        .located(file: displayName, path: path, line: line, problem, hint: hint)
    }

    /// Yams' own description quotes the line, which can hold a password: only the problem and its place are kept.
    private func failure(for error: YamlError, text: String) -> Failure {
        switch error {
        case .scanner(_, let problem, let mark, _), .parser(_, let problem, let mark, _),
            .composer(_, let problem, let mark, _):
            return failure(at: "", line: mark.line, "the file is not valid YAML: \(problem)")
        case .reader(let problem, let offset, _, _):
            let line = offset.map { text.prefix($0).reduce(1) { $1.isNewline ? $0 + 1 : $0 } }
            return failure(at: "", line: line, "the file is not valid YAML: \(problem)")
        case .duplicatedKeysInMapping(let duplicates, let context):
            let key = duplicates.first ?? ""
            let second = Self.repeatedLine(of: key, after: context.mark.line, in: text)
            let first = second.map { _ in ", first on line \(context.mark.line)" } ?? ""
            return failure(
                at: "", line: second ?? context.mark.line, "the key \"\(key)\" stands twice in one mapping\(first)",
                hint: "Keep one of the two.")
        default:
            return failure(at: "", line: nil, "the file is not valid YAML")
        }
    }

    /// Yams tells where a repeated key stands first; the second is the next line with that key at that indent.
    private static func repeatedLine(of key: String, after first: Int, in text: String) -> Int? {
        let lines = text.split(omittingEmptySubsequences: false) { $0.isNewline }
        guard lines.indices.contains(first - 1) else { return nil }
        let indent = lines[first - 1].prefix { $0 == " " }.count
        for index in first..<lines.count where lines[index].prefix(while: { $0 == " " }).count == indent {
            let content = lines[index].dropFirst(indent)
            for spelling in [key, "\"\(key)\"", "'\(key)'"] where content.hasPrefix(spelling) {
                let rest = content.dropFirst(spelling.count).drop { $0 == " " }
                if rest.first == ":" { return index + 1 }
            }
        }
        return nil
    }
}

/// A value of the file with its place.
struct ConfigurationValue {
    let node: Node
    /// Dotted, `streams.memos.from`; empty for the whole file.
    let path: String
    let line: Int

    /// Written as `null`, `~` or nothing: the same as a key that is not there.
    var isNull: Bool {
        guard case .scalar(let scalar) = node, scalar.style == .plain, scalar.tag.rawValue != Tag.Name.str.rawValue
        else { return false }
        return ["", "~", "null", "Null", "NULL"].contains(scalar.string)
    }

    /// What the value is, for a message that says what was expected instead. Scalars as they stand in the file: what a
    /// variable holds is not shown.
    var shown: String {
        switch node {
        case .scalar(let scalar): "\"\(scalar.string)\""
        case .sequence: "a list"
        case .mapping: "a mapping"
        case .alias: "an alias"
        }
    }
}
