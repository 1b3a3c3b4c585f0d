/// A table's full name.
package struct TableReference: Sendable, Hashable, CustomStringConvertible {
    package var project: String
    package var dataset: String
    package var table: String

    package init(project: String, dataset: String, table: String) {
        self.project = project
        self.dataset = dataset
        self.table = table
    }

    /// From `project.dataset.table`; a project may hold a domain with dots and a colon (`example.com:p`).
    package init?(_ text: String) {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count >= 3, parts.allSatisfy({ !$0.isEmpty }) else { return nil }
        project = parts.dropLast(2).joined(separator: ".")
        dataset = String(parts[parts.count - 2])
        table = String(parts[parts.count - 1])
    }

    package var description: String { "\(project).\(dataset).\(table)" }

    /// As it stands in a query; none of the three parts can hold a back quote.
    var quoted: String { "`\(description)`" }
}

/// Percent-encodes one segment of a path.
func encodedPathSegment(_ text: String) -> String {
    var result = ""
    let digits = Array("0123456789ABCDEF".unicodeScalars)
    for byte in text.utf8 {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."),
            UInt8(ascii: "~"), UInt8(ascii: ":"):
            result.unicodeScalars.append(Unicode.Scalar(byte))
        default:
            result.unicodeScalars.append("%")
            result.unicodeScalars.append(digits[Int(byte >> 4)])
            result.unicodeScalars.append(digits[Int(byte & 15)])
        }
    }
    return result
}
