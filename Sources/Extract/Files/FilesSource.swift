/// Objects of a folder or bucket as a source: CSV, JSON lines and Parquet, plain or compressed.
package struct FilesSource: CheckableSource {
    package static let kind = "files"

    let store: any ObjectStore

    package init(store: any ObjectStore) { self.store = store }

    package var location: String { store.url }

    package func validate(_ stream: ExtractRequest) throws {
        guard let from = stream.from, !from.isEmpty else {
            throw ExtractError(
                .configuration, "stream \(stream.name) names no objects",
                at: .stream("from"), hint: "set from: to a pattern below \(store.url), such as \"orders/*.csv\"")
        }
        _ = try Glob(from)
        if stream.mode == .changes, stream.key.isEmpty {
            throw ExtractError(
                .configuration, "stream \(stream.name) is in the mode changes and names no key",
                at: .stream("key"),
                hint: "set key: to the columns that tell every row from every other, or use mode: incremental")
        }
        guard TextEncoding(name: stream.files.encoding) != nil else {
            throw ExtractError(
                .configuration, "stream \(stream.name) names the encoding \(stream.files.encoding), which is not known",
                at: .stream("encoding"),
                hint: "known are \(TextEncoding.allCases.map(\.rawValue).joined(separator: ", "))")
        }
    }

    /// What `etlctl check` can tell of a stream without reading an object.
    package func check(_ stream: ExtractRequest) async throws -> String {
        let glob = try Glob(stream.from ?? "")
        var token: String?
        repeat {
            let listing = try await store.list(prefix: glob.prefix, after: token)
            if let first = listing.objects.first(where: { glob.matches($0.name) }) {
                _ = try await store.open(first, from: 0)
                return "reachable and readable, such as \(store.url(of: first.name))"
            }
            token = listing.next
        } while token != nil
        return "reachable, but no object below \(store.url) matches \(stream.from ?? "")"
    }

    /// How many objects match a stream's pattern, and their bytes as stored: what a full read would fetch of them at most.
    ///
    /// - Throws: as the store's listing does.
    package func size(_ stream: ExtractRequest) async throws -> (objects: Int, bytes: Int64) {
        let glob = try Glob(stream.from ?? "")
        var (objects, bytes) = (0, Int64(0))
        var token: String?
        repeat {
            let listing = try await store.list(prefix: glob.prefix, after: token)
            for object in listing.objects where glob.matches(object.name) {
                objects += 1
                bytes += object.size
            }
            token = listing.next
        } while token != nil
        return (objects, bytes)
    }

    package func read(_ run: RunContext) async throws -> Bool { try await FilesRead(run, store: store).read() }
}
