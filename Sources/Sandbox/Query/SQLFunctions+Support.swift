internal import Foundation
internal import GRDB
internal import JSONBytes

extension SQLValue {
    init(_ value: DatabaseValue) {
        switch value.storage {
        case .null: self = .null
        case .int64(let number): self = .integer(number)
        case .double(let number): self = .real(number)
        case .string(let text): self = .text(text)
        case .blob(let data): self = .blob(Array(data))
        }
    }

    var databaseValue: DatabaseValue {
        switch self {
        case .null: .null
        case .integer(let number): number.databaseValue
        case .real(let number): number.databaseValue
        case .text(let text): text.databaseValue
        case .blob(let bytes): Data(bytes).databaseValue
        }
    }
}

/// `LIKE` with `%`, `_` and backslash escapes; upper and lower case differ.
struct LikePattern {
    private enum Piece {
        case any
        case one
        case exactly(Character)
    }

    private var pieces: [Piece] = []

    init(_ pattern: String) throws {
        var isEscaped = false
        for character in pattern {
            if isEscaped {
                pieces.append(.exactly(character))
                isEscaped = false
            } else if character == "\\" {
                isEscaped = true
            } else {
                pieces.append(character == "%" ? .any : character == "_" ? .one : .exactly(character))
            }
        }
        if isEscaped { throw SQLFunctions.Failure(description: "LIKE pattern ends with a backslash") }
    }

    func matches(_ text: String) -> Bool {
        let characters = Array(text)
        var reachable = Set([0])
        for piece in pieces {
            switch piece {
            case .any:
                guard let first = reachable.min() else { return false }
                reachable = Set(first...characters.count)
            case .one: reachable = Set(reachable.filter { $0 < characters.count }.map { $0 + 1 })
            case .exactly(let wanted):
                reachable = Set(reachable.filter { $0 < characters.count && characters[$0] == wanted }.map { $0 + 1 })
            }
        }
        return reachable.contains(characters.count)
    }
}

/// JSON paths of the simple form `$.a.b[0]`, `$['a']`, `$."a"`.
enum JSONPath {
    /// A string, number or boolean as text; nil for anything else and for what is not there.
    static func scalar(_ json: String, _ path: String) throws -> SQLValue? {
        switch try value(json, path) {
        case .string(let text)?, .number(let text)?: .text(text)
        case .bool(let flag)?: .text(flag ? "true" : "false")
        default: nil
        }
    }

    static func value(_ json: String, _ path: String) throws -> JSONValue? {
        guard var current = try? JSONValue(parsing: json) else { return nil }
        for step in try steps(path) {
            if let index = Int(step), let items = current.arrayValue {
                guard items.indices.contains(index) else { return nil }
                current = items[index]
            } else if let next = current[step] {
                current = next
            } else {
                return nil
            }
        }
        return current
    }

    private static func steps(_ path: String) throws -> [String] {
        let failure = SQLFunctions.Failure(description: "Invalid JSONPath: \(path)")
        guard path.first == "$" else { throw failure }
        var rest = path.dropFirst()
        var result: [String] = []
        while let first = rest.first {
            rest = rest.dropFirst()
            if first == "[" {
                guard let end = rest.firstIndex(of: "]") else { throw failure }
                result.append(rest[..<end].filter { $0 != "'" && $0 != "\"" })
                rest = rest[end...].dropFirst()
            } else if first == ".", rest.first == "\"" {
                rest = rest.dropFirst()
                guard let end = rest.firstIndex(of: "\"") else { throw failure }
                result.append(String(rest[..<end]))
                rest = rest[end...].dropFirst()
            } else if first == "." {
                let name = rest.prefix { $0 != "." && $0 != "[" }
                guard !name.isEmpty else { throw failure }
                result.append(String(name))
                rest = rest.dropFirst(name.count)
            } else {
                throw failure
            }
        }
        return result
    }
}

/// SUM over NUMERIC and BIGNUMERIC, exact.
struct DecimalSum: DatabaseAggregate {
    private var sum: DecimalText?

    mutating func step(_ values: [DatabaseValue]) throws {
        guard case .text(let text) = SQLValue(values[0]), let value = DecimalText(text) else { return }
        sum = sum.map { $0.adding(value) } ?? value
    }

    func finalize() throws -> (any DatabaseValueConvertible)? { sum?.text }
}

/// AVG over NUMERIC and BIGNUMERIC, to the precision of a double.
struct DecimalAverage: DatabaseAggregate {
    private var sum = 0.0
    private var count = 0

    mutating func step(_ values: [DatabaseValue]) throws {
        guard case .text(let text) = SQLValue(values[0]), let value = Double(text) else { return }
        sum += value
        count += 1
    }

    func finalize() throws -> (any DatabaseValueConvertible)? {
        count == 0 ? nil : DecimalText("\(sum / Double(count))")?.text
    }
}
