/// The name of a table as `from` spells it: `table`, `schema.table`, each part as it is or quoted by the server's rules.
struct SQLName: Equatable {
    var schema: String?
    var table: String

    init(schema: String?, table: String) {
        self.schema = schema
        self.table = table
    }

    /// - Parameter quote: the server's quote for identifiers; inside of them it is doubled.
    /// - Throws: `ExtractError` of kind `.configuration`.
    init(parsing text: String, quote: Unicode.Scalar, stream: String) throws {
        var parts: [String] = []
        var rest = Substring(text).unicodeScalars
        func refuse() -> ExtractError {
            ExtractError(
                .configuration, "from: \(text) of stream \(stream) is no name of a table",
                at: .stream("from"), hint: "write schema.table; a part that holds a dot goes into \(quote) quotes")
        }
        while true {
            if rest.first == quote {
                var part = String.UnicodeScalarView()
                rest = rest.dropFirst()
                while true {
                    guard let end = rest.firstIndex(of: quote) else { throw refuse() }
                    part += rest[..<end]
                    rest = rest[rest.index(after: end)...]
                    guard rest.first == quote else { break }
                    part.append(quote)
                    rest = rest.dropFirst()
                }
                parts.append(String(part))
            } else {
                let part = rest.prefix { $0 != "." }
                parts.append(String(part))
                rest = rest[part.endIndex...]
            }
            guard let next = rest.first else { break }
            guard next == "." else { throw refuse() }
            rest = rest.dropFirst()
        }
        guard (1...2).contains(parts.count), parts.allSatisfy({ !$0.isEmpty }) else { throw refuse() }
        table = parts[parts.count - 1]
        schema = parts.count == 2 ? parts[0] : nil
    }
}
