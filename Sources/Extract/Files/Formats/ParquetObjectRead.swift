/// Reads one Parquet object into the page.
struct ParquetObjectRead {
    init(_ context: ObjectContext) {}

    func read() async throws -> Bool { throw BrokenObject(reason: "Parquet can't be read yet") }
}
