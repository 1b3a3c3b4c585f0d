/// BigQuery's rules for the ids of tables.
enum TableName {
    /// Up to 1,024 bytes of UTF-8: letters, marks, numbers, connectors, dashes and spaces (BigQuery's tables page).
    static func isValid(_ name: String) -> Bool {
        guard !name.isEmpty, name.utf8.count <= 1_024 else { return false }
        return name.unicodeScalars.allSatisfy { scalar in
            switch scalar.properties.generalCategory {
            case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter,
                .nonspacingMark, .spacingMark, .enclosingMark, .decimalNumber, .letterNumber, .otherNumber,
                .connectorPunctuation, .dashPunctuation, .spaceSeparator:
                true
            default: false
            }
        }
    }

    /// The stream's name with `_` for every character that is no letter, digit or `_`.
    static func derived(from stream: String) -> String {
        String(String.UnicodeScalarView(stream.unicodeScalars.map { isPlain($0) ? $0 : "_" }))
    }

    /// An ASCII letter, a digit or `_`.
    static func isPlain(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar {
        case "a"..."z", "A"..."Z", "0"..."9", "_": true
        default: false
        }
    }
}
