import Extract
import Foundation
import TestSupport
import Testing

/// What every remote store promises, whatever its protocol: listing, reading the listed version, offsets and ranges, and plain errors.
struct StoreContract {
    var writer: ObjectWriter
    /// Whether the server looks at versions; gcp-storage-emulator does not.
    var store: (_ bucket: String, _ folder: String) throws -> any ObjectStore

    static let names = [
        "plain.csv", "two words.csv", "deep/er/still.csv", "plus+and&=?#%.csv", "percent%20%2F.csv", "quote\"'<>`.csv",
        "\u{e4}\u{f6}\u{fc} \u{20ac} \u{1F600}.csv", "e\u{301}.csv", "\u{e9}.csv", "tilde~(1)!*$,;:@.csv",
    ]

    static func content(_ name: String) -> [UInt8] { Array("id,name\n1,\(name)\n".utf8) }

    func bucket() -> String { "b" + UUID().uuidString.lowercased().prefix(18) }

    func all(_ store: any ObjectStore, prefix: String = "") async throws -> [StoredObject] {
        var objects: [StoredObject] = []
        var token: String?
        repeat {
            let page = try await store.list(prefix: prefix, after: token)
            objects += page.objects
            token = page.next
        } while token != nil
        return objects
    }

    func bytes(_ store: any ObjectStore, _ object: StoredObject, from offset: Int64 = 0) async throws -> [UInt8] {
        let body = try await store.open(object, from: offset)
        var bytes: [UInt8] = []
        while let chunk = try await body.next() {
            #expect(!chunk.isEmpty)
            bytes += chunk
        }
        return bytes
    }

    /// Names in any script and with any punctuation, below a folder, with their bytes.
    func checkNames() async throws {
        let bucket = bucket()
        var steps: [ObjectWriter.Step] = [.bucket(bucket), .put(bucket, "other/x.csv", [1]), .put(bucket, "in", [1])]
        steps += Self.names.map { .put(bucket, "in/\($0)", Self.content($0)) }
        try await writer.write(steps)
        let store = try store(bucket, "in/")
        #expect(store.url == "\(writer.store)://\(bucketPath(bucket))/in/")
        let objects = try await all(store)
        #expect(Set(objects.map { Array($0.name.utf8) }) == Set(Self.names.map { Array($0.utf8) }))
        #expect(objects.count == Self.names.count)
        for object in objects {
            let content = Self.content(object.name)
            #expect(object.size == Int64(content.count))
            #expect(!object.version.isEmpty)
            #expect(try await bytes(store, object) == content, "\(object.name)")
        }
        #expect(try await all(store, prefix: "deep/e").map(\.name) == ["deep/er/still.csv"])
        #expect(try await all(store, prefix: "nothing").isEmpty)
    }

    /// Offsets and ranges, at the edges too, and an empty object.
    func checkRanges() async throws {
        let bucket = bucket()
        let content = (0..<100_000).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        try await writer.write([.bucket(bucket), .put(bucket, "big", content), .put(bucket, "empty", [])])
        let store = try store(bucket, "")
        let objects = try await all(store)
        let big = try #require(objects.first { $0.name == "big" })
        let empty = try #require(objects.first { $0.name == "empty" })
        #expect(try await bytes(store, empty).isEmpty)
        for offset in [0, 1, 50_000, 99_999, 100_000] {
            #expect(try await bytes(store, big, from: Int64(offset)) == Array(content[offset...]), "\(offset)")
        }
        for range in [0..<1, 0..<100_000, 99_992..<100_000, 40_000..<40_010, 7..<7] {
            let bytes = try await store.read(big, range: Int64(range.lowerBound)..<Int64(range.upperBound))
            #expect(bytes == Array(content[range]), "\(range)")
        }
    }

    /// An object that was replaced or deleted since it was listed is told apart, and a new version has another name.
    func checkVersions() async throws {
        let bucket = bucket()
        try await writer.write([.bucket(bucket), .put(bucket, "a", [1, 2, 3]), .put(bucket, "b", [4])])
        let store = try store(bucket, "")
        let before = try await all(store).sorted { $0.name < $1.name }
        try await writer.write([.put(bucket, "a", [7, 8, 9]), .delete(bucket, "b")])
        let changed = await #expect(throws: ObjectStoreError.self) { try await bytes(store, before[0]) }
        if case .changed? = changed {} else { Issue.record("\(String(describing: changed))") }
        let gone = await #expect(throws: ObjectStoreError.self) { try await bytes(store, before[1]) }
        if case .gone? = gone {} else { Issue.record("\(String(describing: gone))") }
        await #expect(throws: ObjectStoreError.self) { try await store.read(before[0], range: 0..<2) }
        let after = try await all(store)
        #expect(after.map(\.name) == ["a"])
        #expect(after[0].version != before[0].version)
        #expect(try await bytes(store, after[0]) == [7, 8, 9])
    }

    func checkMissingBucket() async throws {
        let store = try store("no-such-bucket-" + bucket(), "")
        let error = await #expect(throws: ExtractError.self) { try await store.list(prefix: "", after: nil) }
        #expect(error?.kind == .configuration)
        #expect(error?.description.contains("no-such-bucket-") ?? false, "\(String(describing: error))")
    }

    private func bucketPath(_ bucket: String) -> String {
        writer.account.isEmpty ? bucket : "\(writer.account)/\(bucket)"
    }
}
