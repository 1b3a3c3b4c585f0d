internal import Transport

/// Makes column names out of field names (contract section 4, "Column names").
package enum ColumnNaming {
    /// BigQuery's limit in characters (schemas page).
    static let maximumLength = 300

    /// Prefixes that BigQuery refuses in any case (schemas page), in upper case.
    static let reservedPrefixes = [
        "_TABLE_", "_FILE_", "_PARTITION", "_ROW_TIMESTAMP", "__ROOT__", "_COLIDENTIFIER", "_CHANGE_SEQUENCE_NUMBER",
        "_CHANGE_TYPE", "_CHANGE_TIMESTAMP",
    ]

    /// The field's name by BigQuery's strict rule; the same for every stream, clashes not yet resolved.
    package static func sanitized(_ field: String) -> String {
        var name = String.UnicodeScalarView()
        for scalar in field.unicodeScalars {
            let isPlain = scalar.isASCII && (scalar.properties.isAlphabetic || scalar.properties.numericType != nil)
            name.append(isPlain ? scalar : "_")
        }
        var text = name.isEmpty ? "_" : String(name)
        if let first = text.unicodeScalars.first, ("0"..."9").contains(first) { text = "_" + text }
        let upper = text.uppercased()
        if reservedPrefixes.contains(where: upper.hasPrefix) { text = "c_" + text }
        guard text.utf8.count > maximumLength else { return text }
        let digest = Digest.hex(Digest.sha256(Array(field.utf8)))
        return text.prefix(291) + "_" + digest.prefix(8)
    }

    /// True for a name that BigQuery's strict rule allows as it is.
    package static func isValid(_ name: String) -> Bool { !name.isEmpty && sanitized(name) == name }

    /// `base`, or `base_2`, `base_3` ... until `isTaken` (asked with the lower-case name) is false.
    package static func unique(_ base: String, isTaken: (String) -> Bool) -> String {
        var number = 1
        return unique(base, from: &number, isTaken: isTaken)
    }

    /// - Parameter number: the first to try, 1 for `base` itself; then that of the name returned.
    static func unique(_ base: String, from number: inout Int, isTaken: (String) -> Bool) -> String {
        if number < 2 {
            guard isTaken(base.lowercased()) else { return base }
            number = 2
        }
        while true {
            let suffix = "_\(number)"
            let candidate = base.prefix(maximumLength - suffix.count) + suffix
            if !isTaken(candidate.lowercased()) { return String(candidate) }
            number += 1
        }
    }
}

/// Names that are taken, compared without regard to case. Names are never given back, so that many equal wishes cost no more than many
/// different ones.
struct TakenNames {
    private var names: Set<String>
    /// The number that each wish came to.
    private var numbers: [String: Int] = [:]

    init(_ names: some Sequence<String>) { self.names = Set(names.map { $0.lowercased() }) }

    mutating func insert(_ name: String) { names.insert(name.lowercased()) }

    /// The wish, or the wish with the lowest number that is free. It is not taken yet.
    mutating func unique(_ wish: String) -> String {
        var number = numbers[wish] ?? 1
        let name = ColumnNaming.unique(wish, from: &number) { names.contains($0) }
        if number > 1 { numbers[wish] = number }
        return name
    }
}
