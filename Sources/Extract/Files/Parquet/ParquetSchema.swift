/// The tree of columns in a Parquet file.
final class ParquetNode {
    let name: String
    /// How its value is written.
    let kind: Kind
    let isOptional: Bool
    /// Definition level from which on this value is there.
    let definition: Int
    /// Repetition level of this value's own list; 0 for none.
    let repetition: Int
    /// Leaves below, or the node itself.
    private(set) var leaves: [ParquetLeaf] = []
    /// Members in the order in which they are written.
    let children: [ParquetNode]

    indirect enum Kind {
        case leaf(ParquetLeaf)
        case group
        /// The node is the list; its child is an element.
        case list
        /// The node is the map; its children are key and value.
        case map
    }

    init(
        name: String, kind: Kind, isOptional: Bool, definition: Int, repetition: Int, children: [ParquetNode]
    ) {
        self.name = name
        self.kind = kind
        self.isOptional = isOptional
        self.definition = definition
        self.repetition = repetition
        self.children = children
        if case .leaf(let leaf) = kind { leaves = [leaf] } else { leaves = children.flatMap(\.leaves) }
    }
}

/// A column of values.
final class ParquetLeaf {
    let path: [String]
    let type: ParquetType
    let length: Int
    let meaning: ParquetMeaning
    let maximumDefinition: Int
    let maximumRepetition: Int
    /// Which column chunk of a row group it is.
    let index: Int
    var name: String { path.joined(separator: ".") }

    init(
        path: [String], _ element: ParquetMetadata.SchemaElement, type: ParquetType, definition: Int, repetition: Int,
        index: Int
    ) throws {
        self.path = path
        self.type = type
        length = element.typeLength
        guard type != .fixed || (0...(1 << 20)).contains(length) else {
            throw BrokenObject(reason: "column \(path.joined(separator: ".")) has values of \(length) bytes")
        }
        meaning = try ParquetMeaning(element, type, column: path.joined(separator: "."))
        maximumDefinition = definition
        maximumRepetition = repetition
        self.index = index
    }
}

/// Makes the tree of the footer's flat list.
struct ParquetSchemaBuilder {
    private static let maximumDepth = 64

    private let elements: [ParquetMetadata.SchemaElement]
    private var next = 1
    private var leafCount = 0

    private init(_ elements: [ParquetMetadata.SchemaElement]) { self.elements = elements }

    /// The columns of the table.
    static func columns(_ elements: [ParquetMetadata.SchemaElement]) throws -> [ParquetNode] {
        guard let root = elements.first, root.children >= 0 else { throw BrokenObject(reason: "it has no schema") }
        var builder = ParquetSchemaBuilder(elements)
        var columns: [ParquetNode] = []
        for _ in 0..<root.children {
            columns.append(try builder.node(path: [], definition: 0, repetition: 0, depth: 0))
        }
        return columns
    }

    private mutating func take() throws -> ParquetMetadata.SchemaElement {
        guard next < elements.count else { throw BrokenObject(reason: "its schema is cut off") }
        defer { next += 1 }
        return elements[next]
    }

    private mutating func node(path: [String], definition: Int, repetition: Int, depth: Int) throws -> ParquetNode {
        guard depth < Self.maximumDepth else { throw BrokenObject(reason: "its schema is nested too deeply") }
        let element = try take()
        let path = path + [element.name]
        guard element.repetition != .repeated else {
            // A repeated field by itself is a required list of required elements (LogicalTypes.md, backward compatibility).
            let inner = try value(
                element, path: path, definition: definition + 1, repetition: repetition + 1, isOptional: false, depth)
            return ParquetNode(
                name: element.name, kind: .list, isOptional: false, definition: definition, repetition: repetition + 1,
                children: [inner])
        }
        let isOptional = element.repetition == .optional
        return try value(
            element, path: path, definition: definition + (isOptional ? 1 : 0), repetition: repetition,
            isOptional: isOptional, depth)
    }

    /// The node of an element whose own repetition is settled.
    private mutating func value(
        _ element: ParquetMetadata.SchemaElement, path: [String], definition: Int, repetition: Int, isOptional: Bool,
        _ depth: Int
    ) throws -> ParquetNode {
        if let type = element.type, element.children == 0 {
            let leaf = try ParquetLeaf(
                path: path, element, type: type, definition: definition, repetition: repetition, index: leafCount)
            leafCount += 1
            return ParquetNode(
                name: element.name, kind: .leaf(leaf), isOptional: isOptional, definition: definition, repetition: 0,
                children: [])
        }
        if element.isMap, let map = try map(element, path, definition, repetition, isOptional, depth) { return map }
        if element.isList, let list = try list(element, path, definition, repetition, isOptional, depth) { return list }
        guard element.children >= 0 else {
            throw BrokenObject(reason: "its schema holds a group of \(element.children)")
        }
        var children: [ParquetNode] = []
        for _ in 0..<element.children {
            children.append(try node(path: path, definition: definition, repetition: repetition, depth: depth + 1))
        }
        children.sort { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }
        return ParquetNode(
            name: element.name, kind: .group, isOptional: isOptional, definition: definition, repetition: 0,
            children: children)
    }

    /// `optional group m (MAP) { repeated group key_value { required key; optional value; } }`, whatever its parts are called.
    private mutating func map(
        _ element: ParquetMetadata.SchemaElement, _ path: [String], _ definition: Int, _ repetition: Int,
        _ isOptional: Bool, _ depth: Int
    ) throws -> ParquetNode? {
        guard element.children == 1, next < elements.count, elements[next].repetition == .repeated,
            elements[next].type == nil, elements[next].children == 2 || elements[next].children == 1
        else { return nil }
        let entry = try take()
        let inner = path + [entry.name]
        var children: [ParquetNode] = []
        for _ in 0..<entry.children {
            children.append(
                try node(path: inner, definition: definition + 1, repetition: repetition + 1, depth: depth + 2))
        }
        return ParquetNode(
            name: element.name, kind: .map, isOptional: isOptional, definition: definition, repetition: repetition + 1,
            children: children)
    }

    /// `optional group l (LIST) { repeated group list { optional element; } }`, and its older forms.
    private mutating func list(
        _ element: ParquetMetadata.SchemaElement, _ path: [String], _ definition: Int, _ repetition: Int,
        _ isOptional: Bool, _ depth: Int
    ) throws -> ParquetNode? {
        guard element.children == 1, next < elements.count, elements[next].repetition == .repeated else { return nil }
        let repeated = elements[next]
        let isElement =
            repeated.type != nil || repeated.children != 1 || repeated.name == "array"
            || repeated.name == element.name + "_tuple"
        let child: ParquetNode
        _ = try take()
        let inner = path + [repeated.name]
        if isElement {
            child = try value(
                repeated, path: inner, definition: definition + 1, repetition: repetition + 1, isOptional: false,
                depth + 1)
        } else {
            child = try node(path: inner, definition: definition + 1, repetition: repetition + 1, depth: depth + 2)
        }
        return ParquetNode(
            name: element.name, kind: .list, isOptional: isOptional, definition: definition, repetition: repetition + 1,
            children: [child])
    }
}

extension ParquetMetadata.SchemaElement {
    fileprivate var isList: Bool { logical == .list || (logical == nil && converted == 3) }
    fileprivate var isMap: Bool { logical == .map || (logical == nil && (converted == 1 || converted == 2)) }
}
