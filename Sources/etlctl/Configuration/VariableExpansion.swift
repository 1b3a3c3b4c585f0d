/// Expands `${NAME}` and `${NAME:-default}` in one string value; `$${` stands for a literal `${`.
///
/// It works on values after the YAML is parsed, so what a variable holds can't change the file's structure.
struct VariableExpansion: Sendable {
    struct Problem: Error, Equatable {
        var message: String
        var hint: String?
    }

    let environment: [String: String]

    /// - Throws: for a name that is not set and has no default, and for a `${` that is not closed or holds no name.
    func expand(_ text: String) throws(Problem) -> String {
        guard text.contains("${") else { return text }
        var output = ""
        var rest = text[...]
        while let start = rest.firstRange(of: "${") {
            output += rest[..<start.lowerBound]
            rest = rest[start.upperBound...]
            if output.hasSuffix("$") {
                output += "{"
                continue
            }
            guard let end = rest.firstIndex(of: "}") else {
                throw Problem(message: "\"${\" is not closed", hint: "Write $${ for a literal ${.")
            }
            output += try value(of: rest[..<end])
            rest = rest[rest.index(after: end)...]
        }
        return output + rest
    }

    private func value(of expression: Substring) throws(Problem) -> String {
        let name = expression.prefix { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "_") }
        let tail = expression[name.endIndex...]
        guard let first = name.first, !first.isNumber, tail.isEmpty || tail.hasPrefix(":-") else {
            throw Problem(
                message: "\"${\(expression)}\" is no variable",
                hint: "Write ${NAME} or ${NAME:-default}, and $${ for a literal ${.")
        }
        let value = environment[String(name)]
        guard tail.isEmpty else {
            // As in a shell, `:-` also stands in for a variable that is set but empty.
            guard let value, !value.isEmpty else { return String(tail.dropFirst(2)) }
            return value
        }
        guard let value else {
            throw Problem(
                message: "the environment variable \(name) is not set",
                hint: "Set \(name), or give a default: ${\(name):-value}.")
        }
        return value
    }
}
