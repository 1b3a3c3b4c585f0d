import Extract
import Foundation
import TestSupport
import Testing
import Transport

/// What every store promises that something is kept in.
@Suite(.needsPython) struct WritableStoreTests {
    private func withStore(_ kind: String, _ body: (any WritableStore) async throws -> Void) async throws {
        try await withTemporaryFolder { folder in
            guard kind == "gs" else {
                let place = try await TestPlace.make(kind, folder: folder)
                return try await body(try #require(place.store as? any WritableStore))
            }
            let google = try GoogleStore()
            defer { google.stop() }
            try await body(
                try GoogleCloudStore(
                    url: "gs://\(GoogleStore.bucket)/in here/", endpoint: google.url,
                    http: AuthorizedClient(client: HTTPClient(), tokens: nil)))
        }
    }

    @Test(arguments: TestPlace.kinds)
    func `a write happens if its condition holds, and not at all if it does not`(kind: String) async throws {
        try await withStore(kind) { store in
            #expect(try await store.find("state.json") == nil)
            let first = try await store.put("state.json", Array("one".utf8), if: .absent)
            await #expect(throws: ObjectStoreError.self) {
                try await store.put("state.json", Array("two".utf8), if: .absent)
            }
            let second = try await store.put("state.json", Array("TWO".utf8), if: .version(first))
            #expect(first != second)
            await #expect(throws: ObjectStoreError.self) {
                try await store.put("state.json", Array("tri".utf8), if: .version(first))
            }
            let found = try #require(try await store.find("state.json"))
            #expect(found.object.size == 3 && found.object.version == second)
            let age = try #require(found.age)
            #expect(age >= .zero && age < .seconds(60))
            #expect(try await store.read(found.object, range: 0..<3) == Array("TWO".utf8))

            try await store.delete("state.json")
            try await store.delete("state.json")
            #expect(try await store.find("state.json") == nil)
            await #expect(throws: ObjectStoreError.self) {
                try await store.put("state.json", Array("four".utf8), if: .version(second))
            }
            #expect(try await store.find("state.json") == nil)
        }
    }

    @Test(arguments: TestPlace.kinds)
    func `of many who write at once under one condition exactly one does`(kind: String) async throws {
        try await withStore(kind) { store in
            var version = try await store.put("state.json", [0], if: .absent)
            for round in 0..<5 {
                // Different each time, as all that is written under a condition must be: S3's version is a sum of the content.
                let condition = WriteCondition.version(version)
                let written = await withTaskGroup(of: String?.self) { group in
                    for number in 0..<8 {
                        group.addTask {
                            try? await store.put("state.json", [UInt8(round), UInt8(number), 1], if: condition)
                        }
                    }
                    return await group.reduce(into: [String]()) { if let written = $1 { $0.append(written) } }
                }
                #expect(written.count == 1, "\(kind)")
                version = try #require(written.first)
                #expect(try await store.find("state.json")?.object.version == version)
            }
        }
    }

    @Test(arguments: TestPlace.kinds) func `megabytes arrive as they were sent`(kind: String) async throws {
        try await withStore(kind) { store in
            var random = SystemRandomNumberGenerator()
            let bytes = (0..<(5 << 20)).map { _ in UInt8.random(in: 0 ... .max, using: &random) }
            _ = try await store.put("copy-a.00000", bytes, if: .absent)
            let object = try #require(try await store.find("copy-a.00000")).object
            #expect(try await store.read(object, range: 0..<object.size) == bytes)
            #expect(try await store.list(prefix: "copy-", after: nil).objects == [object])
        }
    }
}
