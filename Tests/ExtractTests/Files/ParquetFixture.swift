import JSONBytes
import TestSupport

@testable import Extract

/// One object in memory.
struct MemoryStore: ObjectStore {
    static let kind = "memory"
    let url = "memory:///"
    let bytes: [UInt8]

    func list(prefix: String, after token: String?) async throws -> ObjectListing {
        ObjectListing(objects: [StoredObject(name: "object", size: Int64(bytes.count), version: "1")])
    }

    func open(_ object: StoredObject, from offset: Int64) async throws -> ObjectBody {
        let rest = Array(bytes[Int(offset)...])
        let isRead = Once()
        return ObjectBody { await isRead.first() && !rest.isEmpty ? rest : nil }
    }

    func read(_ object: StoredObject, range: Range<Int64>) async throws -> [UInt8] {
        Array(bytes[Int(range.lowerBound)..<Int(range.upperBound)])
    }

    private actor Once {
        private var isDone = false

        func first() -> Bool {
            defer { isDone = true }
            return !isDone
        }
    }
}

enum ParquetFixture {
    /// Reads the rows of a file without a run around; returns how many.
    @discardableResult
    static func read(_ bytes: [UInt8], atMost most: Int = .max, memory: Int = PageMemory.most) async throws -> Int {
        let page = PageFixture().page
        let row = FileRow(page: page, key: [])
        let file = ParquetBytes(
            MemoryStore(bytes: bytes), StoredObject(name: "object", size: Int64(bytes.count), version: "1"),
            memory: PageMemory(most: memory))
        let metadata = try ParquetMetadata(try await file.footer())
        let nodes = try ParquetSchemaBuilder.columns(metadata.schema).map { node in
            var name = node.name
            return (node, field: name.withUTF8 { page.fields.number(of: UnsafeRawBufferPointer($0)) })
        }
        let writer = ParquetRowWriter(nodes, nestsAsJSON: false)
        var count = 0
        for group in metadata.rowGroups {
            var readers = [ParquetColumn?](repeating: nil, count: group.columns.count)
            for leaf in nodes.flatMap(\.0.leaves) where leaf.index < group.columns.count {
                readers[leaf.index] = try ParquetColumn(leaf, group.columns[leaf.index], file.another())
            }
            writer.begin(readers)
            for _ in 0..<group.rows {
                for case let reader? in readers { while reader.rowsReady == 0 { try await reader.loadPage() } }
                row.begin()
                try writer.write(into: row)
                row.drop()
                count += 1
                if count == most { return count }
            }
        }
        return count
    }
}
