/// The shared credentials file and the configuration file, as AWS' tools read them: sections with `name = value` lines.
struct AWSProfiles: Sendable {
    typealias Profile = [String: String]

    private var profiles: [String: Profile] = [:]

    subscript(_ name: String) -> Profile? { profiles[name] }

    /// Far more than any such file has.
    private static let maximumBytes = 1 << 20

    /// Adds a file's profiles; of a name given before, what it had stays (the credentials file comes before the configuration).
    ///
    /// - Parameter isConfiguration: there, profiles but the default are called `[profile NAME]`, and other sections are none.
    mutating func read(_ path: String, isConfiguration: Bool) throws(AuthError) {
        let bytes: [UInt8]
        switch readFile(path, maximumBytes: Self.maximumBytes) {
        case .success(let read): bytes = read
        case .failure(let failure): throw .unreadableFile(path: path, reason: failure.reason)
        }
        var section: String?
        for line in String(decoding: bytes, as: UTF8.self).split(whereSeparator: \.isNewline) {
            // Indented lines belong to the value above (nested settings of S3 and others), which holds no credentials.
            guard let first = line.first, first != "#", first != ";", !first.isWhitespace else { continue }
            if first == "[" {
                guard let end = line.firstIndex(of: "]") else {
                    throw .unreadableFile(path: path, reason: "a section's name has no closing bracket")
                }
                section = Self.profileName(line[line.index(after: line.startIndex)..<end], isConfiguration)
                continue
            }
            guard let equals = line.firstIndex(of: "=") else { continue }
            guard let section else { continue }
            let name = Self.trimmed(line[..<equals]).lowercased()
            let value = Self.trimmed(line[line.index(after: equals)...])
            if profiles[section, default: [:]][name] == nil { profiles[section, default: [:]][name] = value }
        }
    }

    private static func profileName(_ text: Substring, _ isConfiguration: Bool) -> String? {
        let name = trimmed(text)
        guard isConfiguration, name != "default" else { return name }
        guard name.hasPrefix("profile"), let space = name.firstIndex(where: \.isWhitespace) else { return nil }
        return trimmed(name[space...]).trimmingQuotes
    }

    private static func trimmed(_ text: Substring) -> String {
        var text = text
        while text.first?.isWhitespace ?? false { text.removeFirst() }
        while text.last?.isWhitespace ?? false { text.removeLast() }
        return String(text)
    }
}

extension String {
    fileprivate var trimmingQuotes: String {
        count >= 2 && first == last && (first == "\"" || first == "'") ? String(dropFirst().dropLast()) : self
    }
}
