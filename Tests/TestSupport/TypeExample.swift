package import JSONBytes

/// One value of a type: how SQL writes it, and what must stand in the row.
package struct TypeExample: Sendable, CustomStringConvertible {
    package var type: String
    package var sql: String
    /// The value's JSON; nil for one that is rescued.
    package var json: String?
    package var rescued: String?
    package var shape: String

    package init(_ type: String, _ sql: String, _ json: String, _ shape: String) {
        self.type = type
        self.sql = sql
        self.json = json
        self.shape = shape
    }

    package init(_ type: String, _ sql: String, rescued: String) {
        self.type = type
        self.sql = sql
        self.rescued = rescued
        shape = "NULL"
    }

    package var description: String { "\(type) \(sql)" }

    /// A JSON string of JSON text.
    package static func nested(_ type: String, _ sql: String, _ text: String) -> TypeExample {
        TypeExample(type, sql, JSONValue.string(text).text, "JSON_TEXT")
    }

    /// A table `orders` of one row with a column for each example, `c1000` and so on.
    package static func table(_ examples: [TypeExample]) -> String {
        let columns = examples.enumerated().map { "\(column($0)) \($1.type)" }.joined(separator: ", ")
        let values = examples.map(\.sql).joined(separator: ", ")
        return "CREATE TABLE matrix (\(columns)); INSERT INTO matrix VALUES (\(values));"
    }

    package static func column(_ index: Int) -> String { "c\(index + 1000)" }

    /// What must be in the destination's column: the row's value as the column's type holds it.
    package func isHeld(by value: JSONValue?) -> Bool {
        guard let json, json != "null" else { return value == nil || value == .null }
        guard let value, let expected = try? JSONValue(parsing: json) else { return false }
        let (left, right) = (expected.stringValue ?? json, value.stringValue ?? value.text)
        switch shape {
        case "NUMERIC", "BIGNUMERIC": return Self.plain(left) == Self.plain(right)
        case "FLOAT64": return left == right || Double(left) == Double(right)
        default: return left == right
        }
    }

    /// Without zeros at the end of the fraction.
    private static func plain(_ text: String) -> String {
        guard text.contains(".") else { return text }
        var digits = Substring(text)
        while digits.last == "0" { digits = digits.dropLast() }
        return String(digits.last == "." ? digits.dropLast() : digits)
    }
}
