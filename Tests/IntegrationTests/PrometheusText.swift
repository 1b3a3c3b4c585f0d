import Foundation

/// A strict reader of Prometheus' text format 0.0.4, as prometheus.io specifies it; whatever the format does not allow is an error.
struct PrometheusText {
    struct Problem: Error, CustomStringConvertible {
        var description: String
    }

    struct Series: Hashable {
        var name: String
        var labels: [String: String]
    }

    private(set) var types: [String: String] = [:]
    private(set) var help: [String: String] = [:]
    private(set) var values: [Series: Double] = [:]
    /// Names in the order of their first line; a family's lines stand together.
    private(set) var order: [String] = []

    init(_ text: String) throws {
        guard text.hasSuffix("\n") else { throw Problem(description: "the last line does not end") }
        // By scalars: to Swift a return and a line feed are one character.
        for line in text.unicodeScalars.dropLast().split(separator: "\n", omittingEmptySubsequences: false) {
            try read(String(String.UnicodeScalarView(line)))
        }
        for name in order {
            guard types[name] != nil, help[name] != nil, values.keys.contains(where: { $0.name == name }) else {
                throw Problem(description: "\(name) lacks TYPE, HELP or a series")
            }
            guard (types[name] == "counter") == name.hasSuffix("_total") else {
                throw Problem(description: "\(name) is a \(types[name] ?? "")")
            }
        }
    }

    /// The value of the one series with these labels.
    subscript(_ name: String, _ labels: [String: String]) -> Double? { values[Series(name: name, labels: labels)] }

    private mutating func read(_ line: String) throws {
        var scanner = Scanner(line)
        if scanner.take("# HELP ") {
            let name = try scanner.name(colons: true)
            try scanner.demand(" ")
            guard help[name] == nil else { throw Problem(description: "HELP twice: \(line)") }
            try enter(name)
            help[name] = try scanner.remainder()
        } else if scanner.take("# TYPE ") {
            let name = try scanner.name(colons: true)
            try scanner.demand(" ")
            let type = try scanner.remainder()
            guard ["counter", "gauge", "histogram", "summary", "untyped"].contains(type), types[name] == nil,
                !values.keys.contains(where: { $0.name == name })
            else { throw Problem(description: "TYPE out of place: \(line)") }
            try enter(name)
            types[name] = type
        } else {
            try readSeries(&scanner, line)
        }
    }

    private mutating func readSeries(_ scanner: inout Scanner, _ line: String) throws {
        let name = try scanner.name(colons: true)
        var labels: [String: String] = [:]
        if scanner.take("{") {
            repeat {
                let label = try scanner.name(colons: false)
                try scanner.demand("=\"")
                guard labels.updateValue(try scanner.quoted(), forKey: label) == nil else {
                    throw Problem(description: "label twice: \(line)")
                }
            } while scanner.take(",")
            try scanner.demand("}")
        }
        try scanner.demand(" ")
        let text = try scanner.remainder()
        guard let value = Double(text), text.allSatisfy({ $0.isASCII && !$0.isWhitespace }) else {
            throw Problem(description: "no number: \(line)")
        }
        try enter(name)
        guard values.updateValue(value, forKey: Series(name: name, labels: labels)) == nil else {
            throw Problem(description: "series twice: \(line)")
        }
    }

    private mutating func enter(_ name: String) throws {
        if order.last == name { return }
        guard !order.contains(name) else { throw Problem(description: "the lines of \(name) do not stand together") }
        order.append(name)
    }

    private struct Scanner {
        private var rest: Substring.UnicodeScalarView
        private let line: String

        init(_ line: String) {
            self.line = line
            rest = line.unicodeScalars[...]
        }

        mutating func take(_ text: String) -> Bool {
            guard rest.starts(with: text.unicodeScalars) else { return false }
            rest = rest.dropFirst(text.unicodeScalars.count)
            return true
        }

        mutating func demand(_ text: String) throws {
            guard take(text) else { throw Problem(description: "expected '\(text)' before '\(rest)' in: \(line)") }
        }

        mutating func name(colons: Bool) throws -> String {
            let name = rest.prefix { scalar in
                switch scalar {
                case "a"..."z", "A"..."Z", "0"..."9", "_": true
                case ":": colons
                default: false
                }
            }
            guard let first = name.first, !("0"..."9").contains(first) else {
                throw Problem(description: "no name before '\(rest)' in: \(line)")
            }
            rest = rest.dropFirst(name.count)
            return String(name)
        }

        /// A label's value, after its first quote, with the second.
        mutating func quoted() throws -> String {
            var value = String.UnicodeScalarView()
            while let scalar = rest.popFirst() {
                switch scalar {
                case "\"": return String(value)
                case "\\":
                    switch rest.popFirst() {
                    case "\\": value.append("\\")
                    case "\"": value.append("\"")
                    case "n": value.append("\n")
                    default: throw Problem(description: "unknown escape in: \(line)")
                    }
                default: value.append(scalar)
                }
            }
            throw Problem(description: "a label's value does not end in: \(line)")
        }

        mutating func remainder() throws -> String {
            defer { rest = rest.dropFirst(rest.count) }
            guard !rest.isEmpty else { throw Problem(description: "nothing where something must be in: \(line)") }
            return String(rest)
        }
    }
}
