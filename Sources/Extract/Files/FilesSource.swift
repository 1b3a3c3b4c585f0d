/// Objects of a folder or bucket as a source: CSV, JSON lines and Parquet, plain or compressed.
package struct FilesSource: Source {
    package static let kind = "files"

    let store: any ObjectStore

    package init(store: any ObjectStore) { self.store = store }

    package var location: String { store.url }

    package func validate(_ stream: ExtractRequest) throws {
        guard let from = stream.from, !from.isEmpty else {
            throw ExtractError(
                .configuration, "stream \(stream.name) names no objects",
                hint: "set from: to a pattern below \(store.url), such as \"orders/*.csv\"")
        }
        _ = try Glob(from)
        if stream.mode == .changes, stream.key.isEmpty {
            throw ExtractError(
                .configuration, "stream \(stream.name) is in the mode changes and names no key",
                hint: "set key: to the columns that tell every row from every other, or use mode: incremental")
        }
        guard TextEncoding(name: stream.files.encoding) != nil else {
            throw ExtractError(
                .configuration, "stream \(stream.name) names the encoding \(stream.files.encoding), which is not known",
                hint: "known are \(TextEncoding.allCases.map(\.rawValue).joined(separator: ", "))")
        }
    }

    package func read(_ run: RunContext) async throws -> Bool { try await FilesRead(run, store: store).read() }
}
