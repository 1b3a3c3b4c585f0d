/// A pattern for object names: `*` (anything but `/`), `?` (one character but `/`), `**` (anything, `/` too; `**/` also nothing) and
/// `{a,b}` (one of these). Every other character stands for itself.
struct Glob: Sendable {
    /// `{a,b}{c,d}` is four patterns; a pattern that makes more than this is refused.
    private static let maximumAlternatives = 1000

    private enum Token: Equatable {
        case scalar(Unicode.Scalar)
        case one
        case many
        case manyWithSlashes
        /// `**/`: any number of folders, none too.
        case folders
    }

    private let alternatives: [[Token]]
    /// What every match begins with; the listing is asked for no more.
    let prefix: String

    /// - Throws: `ExtractError` of kind `.configuration` for braces that do not close, or too many alternatives.
    init(_ pattern: String) throws {
        let patterns = try Self.expand(Array(pattern.unicodeScalars), of: pattern)
        alternatives = patterns.map(Self.tokens)
        var common = Self.literalPrefix(alternatives.first ?? [])
        for tokens in alternatives.dropFirst() {
            let other = Self.literalPrefix(tokens)
            common = Array(zip(common, other).prefix { $0 == $1 }.map(\.0))
        }
        var view = String.UnicodeScalarView()
        view.append(contentsOf: common)
        prefix = String(view)
    }

    func matches(_ name: String) -> Bool {
        let scalars = Array(name.unicodeScalars)
        return alternatives.contains { Self.matches($0, scalars) }
    }

    // MARK: Parsing

    private static func expand(_ pattern: [Unicode.Scalar], of whole: String) throws -> [[Unicode.Scalar]] {
        var results: [[Unicode.Scalar]] = [[]]
        var index = 0
        while index < pattern.count {
            let scalar = pattern[index]
            guard scalar == "{" else {
                for place in results.indices { results[place].append(scalar) }
                index += 1
                continue
            }
            let (choices, end) = try choices(pattern, from: index, of: whole)
            let expanded = try choices.flatMap { try expand($0, of: whole) }
            guard results.count * expanded.count <= maximumAlternatives else {
                throw ExtractError(
                    .configuration, "the pattern \(whole) stands for more than \(maximumAlternatives) patterns",
                    hint: "use * in place of some of its braces")
            }
            results = results.flatMap { head in expanded.map { head + $0 } }
            index = end
        }
        return results
    }

    /// The texts between the commas of the brace at `start`, and where it ends.
    private static func choices(
        _ pattern: [Unicode.Scalar], from start: Int, of whole: String
    ) throws -> ([[Unicode.Scalar]], Int) {
        var choices: [[Unicode.Scalar]] = [[]]
        var depth = 0
        for index in start..<pattern.count {
            let scalar = pattern[index]
            if scalar == "{" { depth += 1 }
            if scalar == "}" { depth -= 1 }
            if depth == 0 { return (choices, index + 1) }
            if depth == 1, scalar == "," {
                choices.append([])
            } else if index > start {
                choices[choices.count - 1].append(scalar)
            }
        }
        throw ExtractError(
            .configuration, "the pattern \(whole) has a { that is not closed", hint: "write {a,b} for \"a or b\"")
    }

    private static func tokens(_ pattern: [Unicode.Scalar]) -> [Token] {
        var tokens: [Token] = []
        var index = 0
        while index < pattern.count {
            let scalar = pattern[index]
            index += 1
            switch scalar {
            case "?": tokens.append(.one)
            case "*":
                var stars = 1
                while index < pattern.count, pattern[index] == "*" {
                    stars += 1
                    index += 1
                }
                let beginsPart = index - stars == 0 || pattern[index - stars - 1] == "/"
                if stars == 1 {
                    tokens.append(.many)
                } else if beginsPart, index < pattern.count, pattern[index] == "/" {
                    tokens.append(.folders)
                    index += 1
                } else {
                    tokens.append(.manyWithSlashes)
                }
            default: tokens.append(.scalar(scalar))
            }
        }
        return tokens
    }

    private static func literalPrefix(_ tokens: [Token]) -> [Unicode.Scalar] {
        var prefix: [Unicode.Scalar] = []
        for token in tokens {
            guard case .scalar(let scalar) = token else { break }
            prefix.append(scalar)
        }
        return prefix
    }

    // MARK: Matching

    /// Follows all possibilities at once: O(tokens * characters), whatever the pattern.
    private static func matches(_ tokens: [Token], _ name: [Unicode.Scalar]) -> Bool {
        var states = [Bool](repeating: false, count: tokens.count + 1)
        states[0] = true
        skipEmpty(tokens, &states)
        var next = states
        for scalar in name {
            for place in next.indices { next[place] = false }
            for (place, token) in tokens.enumerated() where states[place] {
                switch token {
                case .scalar(let wanted):
                    if scalar == wanted { next[place + 1] = true }
                case .one:
                    if scalar != "/" { next[place + 1] = true }
                case .many:
                    if scalar != "/" { next[place] = true }
                case .manyWithSlashes:
                    next[place] = true
                case .folders:
                    next[place] = true
                }
            }
            skipEmpty(tokens, &next, afterSlash: scalar == "/")
            swap(&states, &next)
        }
        return states[tokens.count]
    }

    /// From what may stand for nothing to what comes after it. `**/` is left only where a part begins.
    private static func skipEmpty(_ tokens: [Token], _ states: inout [Bool], afterSlash: Bool = true) {
        for (place, token) in tokens.enumerated() where states[place] {
            switch token {
            case .many, .manyWithSlashes: states[place + 1] = true
            case .folders: if afterSlash { states[place + 1] = true }
            default: break
            }
        }
    }
}
