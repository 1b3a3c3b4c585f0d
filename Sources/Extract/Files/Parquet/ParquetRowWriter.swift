internal import JSONBytes

/// Puts the rows of a row group together from their columns' values and levels ("Dremel", parquet-format's README).
final class ParquetRowWriter {
    /// A column of the table that is read, with its field.
    private struct Column {
        var node: ParquetNode
        var field: Int
    }

    /// Levels that repeat themselves take no room in a file: what they become must have an end. JSON lines end at half of it.
    private static let maximumRow = 64 << 20

    /// A column without nesting in the row group that is read: what a row needs of it at hand, without a look at the schema.
    private struct FlatColumn {
        var reader: ParquetColumn
        var leaf: ParquetLeaf
        var maximumDefinition: Int
    }

    private let columns: [Column]
    /// Beside `columns`; nil for nested ones.
    private var flat: [FlatColumn?] = []
    private let writer: ParquetValueWriter
    private let nestedType: ValueType
    private let nested = ByteBuffer(capacity: 1 << 12)
    private let sorting = ByteBuffer(capacity: 1 << 12)
    /// The row group's columns, by the number of the leaf.
    private var readers: [ParquetColumn?] = []

    /// - Parameter nodes: the columns to read, with their field numbers.
    init(_ nodes: [(ParquetNode, field: Int)], nestsAsJSON: Bool) {
        columns = nodes.map { Column(node: $0.0, field: $0.field) }
        writer = ParquetValueWriter(nestsAsJSON: nestsAsJSON)
        nestedType = nestsAsJSON ? .json : .jsonText
    }

    func begin(_ readers: [ParquetColumn?]) {
        self.readers = readers
        flat = columns.map { column in
            guard case .leaf(let leaf) = column.node.kind, leaf.index < readers.count, let reader = readers[leaf.index]
            else { return nil }
            return FlatColumn(reader: reader, leaf: leaf, maximumDefinition: leaf.maximumDefinition)
        }
    }

    /// Takes one row; all columns must have it ready.
    func write(into row: FileRow) throws {
        let values = row.values
        let rowStart = values.count
        for index in columns.indices {
            guard values.count - rowStart <= Self.maximumRow else { throw Self.tooLarge }
            if let column = flat[index] {
                try write(column, columns[index].field, values, into: row)
            } else {
                try writeNested(columns[index], values, into: row)
            }
        }
    }

    private static let tooLarge = BrokenObject(reason: "a row of it becomes more than \(maximumRow >> 20) MiB")

    @inline(__always)
    private func write(_ column: FlatColumn, _ field: Int, _ values: ByteBuffer, into row: FileRow) throws {
        let start = values.count
        let entry = try column.reader.entry()
        guard entry.repetition == 0 else { throw beginsLate(column.leaf) }
        guard entry.definition >= column.maximumDefinition else {
            column.reader.take()
            values.append("null")
            return row.take(field, .null, from: start)
        }
        let type = try writer.write(column.leaf, column.reader.values, to: values, isNested: false)
        column.reader.take()
        row.take(field, type, from: start)
        if let rescued = writer.rescued, row.page.fields.fields[field].isSelected {
            rescued.withUnsafeBytes { row.page.rescue(field: field, text: $0) }
        }
    }

    private func writeNested(_ column: Column, _ values: ByteBuffer, into row: FileRow) throws {
        for leaf in column.node.leaves where try reader(leaf).entry().repetition != 0 { throw beginsLate(leaf) }
        let start = values.count
        nested.removeAll()
        try write(column.node)
        if nested.count == 4, nested.bytes.elementsEqual("null".utf8) {
            values.append("null")
            row.take(column.field, .null, from: start)
        } else {
            values.appendJSONString(nested.bytes)
            row.take(column.field, nestedType, from: start)
        }
        nested.shrink(to: 1 << 20)
    }

    private func beginsLate(_ leaf: ParquetLeaf) -> BrokenObject {
        BrokenObject(reason: "column \(leaf.name) begins in the middle of a row")
    }

    private func reader(_ leaf: ParquetLeaf) throws -> ParquetColumn {
        guard leaf.index < readers.count, let reader = readers[leaf.index] else {
            throw BrokenObject(reason: "a row group has no column \(leaf.name)")
        }
        return reader
    }

    // MARK: Nested values

    /// True if the value of a node is there, by the entry ahead of its first column; its other columns must say the same.
    private func isThere(_ node: ParquetNode, from definition: Int) throws -> Bool {
        var answer: Bool?
        for leaf in node.leaves {
            let leafSays = try reader(leaf).entry().definition >= definition
            if let answer, answer != leafSays {
                throw BrokenObject(reason: "column \(leaf.name) does not have the shape of its neighbours")
            }
            answer = leafSays
        }
        return answer ?? true
    }

    private func takeNull(_ node: ParquetNode) throws {
        for leaf in node.leaves { try reader(leaf).take() }
    }

    private func write(_ node: ParquetNode) throws {
        if node.isOptional, try !isThere(node, from: node.definition) {
            try takeNull(node)
            nested.append("null")
            return
        }
        switch node.kind {
        case .leaf(let leaf):
            let reader = try reader(leaf)
            if try reader.entry().definition < leaf.maximumDefinition {
                nested.append("null")
            } else {
                let start = nested.count
                _ = try writer.write(leaf, reader.values, to: nested, isNested: true)
                // Inside of JSON text a value has no column to be rescued from: its text takes its place.
                if let rescued = writer.rescued {
                    nested.truncate(to: start)
                    rescued.withUnsafeBytes { nested.appendJSONString($0) }
                }
            }
            reader.take()
        case .group:
            nested.append(UInt8(ascii: "{"))
            for (index, child) in node.children.enumerated() {
                if index > 0 { nested.append(UInt8(ascii: ",")) }
                nested.appendJSONString(child.name)
                nested.append(UInt8(ascii: ":"))
                try write(child)
            }
            nested.append(UInt8(ascii: "}"))
        case .list:
            nested.append(UInt8(ascii: "["))
            var isFirst = true
            try forEachElement(node) {
                if !isFirst { nested.append(UInt8(ascii: ",")) }
                isFirst = false
                if let element = node.children.first { try write(element) }
            }
            nested.append(UInt8(ascii: "]"))
        case .map: try writeMap(node)
        }
    }

    /// Calls for each element of a list or entry of a map, positioned at it.
    private func forEachElement(_ node: ParquetNode, _ body: () throws -> Void) throws {
        // One level above the list's own, an element is there; below, the list is empty.
        guard try isThere(node, from: node.definition + 1) else { return try takeNull(node) }
        var goesOn = true
        while goesOn {
            guard nested.count <= Self.maximumRow else { throw Self.tooLarge }
            try body()
            goesOn = try continues(node)
        }
    }

    /// True if the next entry belongs to the same list; all of its columns must say the same.
    private func continues(_ node: ParquetNode) throws -> Bool {
        var answer: Bool?
        for leaf in node.leaves {
            let leafSays = try (reader(leaf).peek()?.repetition ?? 0) == node.repetition
            if let answer, answer != leafSays {
                throw BrokenObject(reason: "column \(leaf.name) does not have the shape of its neighbours")
            }
            answer = leafSays
        }
        return answer ?? false
    }

    private struct Entry {
        var key: [UInt8]
        var written: Range<Int>
    }

    /// An object for string keys, sorted, of equal keys the last; else a list of `{"key":..,"value":..}`.
    private func writeMap(_ node: ParquetNode) throws {
        guard let key = node.children.first else { return nested.append("{}") }
        let value = node.children.count > 1 ? node.children[1] : nil
        var hasTextKeys = false
        if case .leaf(let leaf) = key.kind { hasTextKeys = leaf.meaning == .string || leaf.meaning == .uuid }
        let start = nested.count
        nested.append(UInt8(ascii: hasTextKeys ? "{" : "["))
        var entries: [Entry] = []
        try forEachElement(node) {
            if nested.count > start + 1 { nested.append(UInt8(ascii: ",")) }
            let entryStart = nested.count
            if !hasTextKeys { nested.append("{\"key\":") }
            let keyStart = nested.count
            try write(key)
            let keyText = nested.bytes(keyStart..<nested.count)
            if hasTextKeys {
                // A null is no key of an object.
                let isNull = keyText.first != UInt8(ascii: "\"")
                let content = isNull ? [] : decoded(UnsafeRawBufferPointer(rebasing: keyText.dropFirst().dropLast()))
                if isNull {
                    nested.truncate(to: keyStart)
                    nested.append("\"\"")
                }
                nested.append(UInt8(ascii: ":"))
                if let value { try write(value) } else { nested.append("null") }
                entries.append(Entry(key: content, written: entryStart..<nested.count))
            } else {
                nested.append(",\"value\":")
                if let value { try write(value) } else { nested.append("null") }
                nested.append(UInt8(ascii: "}"))
            }
        }
        if hasTextKeys { sort(entries, from: start + 1) }
        nested.append(UInt8(ascii: hasTextKeys ? "}" : "]"))
    }

    /// The bytes of a key, which sort otherwise than its escapes.
    private func decoded(_ content: UnsafeRawBufferPointer) -> [UInt8] {
        guard content.contains(UInt8(ascii: "\\")) else { return [UInt8](content) }
        sorting.removeAll()
        sorting.appendDecoded(content)
        return [UInt8](sorting.bytes)
    }

    private func sort(_ entries: [Entry], from start: Int) {
        let ordered = entries.sorted {
            $0.key == $1.key
                ? $0.written.lowerBound < $1.written.lowerBound : $0.key.lexicographicallyPrecedes($1.key)
        }
        sorting.removeAll()
        for (index, entry) in ordered.enumerated() {
            if index + 1 < ordered.count, ordered[index + 1].key == entry.key { continue }
            if sorting.count > 0 { sorting.append(UInt8(ascii: ",")) }
            sorting.append(nested.bytes(entry.written))
        }
        nested.truncate(to: start)
        nested.append(sorting)
        sorting.shrink(to: 1 << 20)
    }
}
