internal import JSONBytes
internal import Spool

/// Reads one Parquet object into the page, row group by row group, only the columns that are wanted.
struct ParquetObjectRead {
    /// All windows of a row group's columns together.
    private static let windowBudget = 2 << 20
    /// Rows of nulls alone must not be free either.
    private static let bytesOfEmptyRow = 64

    private let context: ObjectContext
    private let row: FileRow
    private let file: ParquetBytes
    private var run: RunContext { context.run }

    init(_ context: ObjectContext) {
        self.context = context
        row = FileRow(page: context.run.page, key: context.run.stream.key)
        file = ParquetBytes(context.store, context.object)
    }

    /// Returns false when a budget ended it early.
    func read() async throws -> Bool {
        let metadata = try ParquetMetadata(try await file.footer())
        let nodes = try wantedColumns(metadata)
        let leaves = nodes.flatMap(\.0.leaves)
        file.windowSize = min(1 << 20, max(64 << 10, Self.windowBudget / max(1, leaves.count)))
        let (run, values) = (run, run.page.values)
        let assembler = ParquetRowWriter(nodes, nestsAsJSON: run.stream.nestsAsJSON)
        var records = ObjectRecords(
            run: run, row: row, object: context.object, url: context.url, reading: context.reading)
        var place = context.part.place
        var limit = RatioLimit.ofRows
        try limit.count(in: Int(context.object.size), out: 0)
        var before = 0
        for group in metadata.rowGroups {
            defer { before += group.rows }
            guard before + group.rows > place.row else { continue }
            let readers = try begin(group, leaves, assembler)
            var left = group.rows
            var skipped = place.row - before
            while left > 0 {
                try Task.checkCancellation()
                let ready = try await rowsReady(readers, atMost: left)
                left -= ready
                for _ in 0..<ready {
                    let bytes = values.count
                    row.begin()
                    try assembler.write(into: row)
                    if skipped > 0 {
                        skipped -= 1
                        row.drop()
                        continue
                    }
                    place.row += 1
                    try limit.count(in: 0, out: Self.bytesOfEmptyRow + values.count - bytes)
                    records.addRow(number: place.row)
                    guard run.isPageFull || run.isExhausted else { continue }
                    context.stand(at: place)
                    try await context.files.commitBeside()
                    records.pageWasEmptied()
                    try Task.checkCancellation()
                    if run.isExhausted { return false }
                }
            }
        }
        context.end(at: place)
        return true
    }

    private func wantedColumns(_ metadata: ParquetMetadata) throws -> [(ParquetNode, field: Int)] {
        let columns = try ParquetSchemaBuilder.columns(metadata.schema)
        var names: Set<ExactText> = []
        for column in columns where !names.insert(column.name.exact).inserted {
            throw BrokenObject(reason: "it has two columns \(column.name)")
        }
        for key in run.stream.key where !names.contains(key.exact) {
            throw ExtractError(
                .configuration,
                "\(context.url) has no column \(key), which is part of the key of stream \(run.stream.name)",
                at: .stream("key"), hint: "its columns are \(columns.map(\.name).prefix(50).joined(separator: ", "))")
        }
        return columns.compactMap { node in
            var name = node.name
            let field = name.withUTF8 { run.page.fields.number(of: UnsafeRawBufferPointer($0)) }
            return row.wants(field) ? (node, field) : nil
        }
    }

    private func begin(
        _ group: ParquetMetadata.RowGroup, _ leaves: [ParquetLeaf], _ assembler: ParquetRowWriter
    ) throws -> [ParquetColumn] {
        var byLeaf = [ParquetColumn?](repeating: nil, count: group.columns.count)
        for leaf in leaves {
            guard leaf.index < group.columns.count,
                group.columns[leaf.index].path.map(\.exact) == leaf.path.map(\.exact)
            else {
                throw BrokenObject(reason: "a row group's columns are not those of the schema")
            }
            byLeaf[leaf.index] = try ParquetColumn(leaf, group.columns[leaf.index], file.another())
        }
        assembler.begin(byLeaf)
        return byLeaf.compactMap { $0 }
    }

    /// Loads pages until every column has a row, and tells how many all of them have. Without any column rows have no fields.
    private func rowsReady(_ readers: [ParquetColumn], atMost most: Int) async throws -> Int {
        var ready = most
        for reader in readers {
            while reader.rowsReady == 0 { try await reader.loadPage() }
            ready = min(ready, reader.rowsReady)
        }
        return ready
    }
}
