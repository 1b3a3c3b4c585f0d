import Extract
import Foundation
import Synchronization
import TestSupport
import Testing
import Transport

@Suite(.needsPython) struct GoogleCloudStoreTests {
    private func contract() async throws -> StoreContract {
        let url = try await PeerServer.shared("gcs_server").url
        return StoreContract(writer: ObjectWriter(store: "gs", endpoint: url)) { bucket, folder in
            try GoogleCloudStore(
                url: "gs://\(bucket)/\(folder)", endpoint: url,
                http: AuthorizedClient(client: HTTPClient(), tokens: nil))
        }
    }

    @Test func `objects of any name are listed and read`() async throws { try await contract().checkNames() }

    @Test func `offsets and ranges are exact`() async throws { try await contract().checkRanges() }

    @Test func `a replaced or deleted object is told from the listed one`() async throws {
        try await contract().checkVersions()
    }

    @Test func `a bucket that does not exist is the configuration's fault`() async throws {
        try await contract().checkMissingBucket()
    }
}

/// What the emulator does not do, by the API's documentation.
@Suite struct GoogleCloudStoreProtocolTests {
    private let object = StoredObject(name: "a b/ä.csv.gz", size: 1_000_000, version: "17")

    private func store(_ server: LoopbackServer) throws -> GoogleCloudStore {
        try GoogleCloudStore(
            url: "gs://bucket/in/", endpoint: server.url,
            http: AuthorizedClient(client: HTTPClient(), tokens: StaticToken("secret")), objectsPerPage: 2)
    }

    @Test func `a listing goes on to its last page, over empty ones and without folders`() async throws {
        try await withLoopbackServer { request in
            switch request.target {
            case let target where target.contains("pageToken=two%2B"): .json(200, #"{"nextPageToken":"three"}"#)
            case let target where target.contains("pageToken=three"):
                .json(200, #"{"items":[{"name":"in/c","generation":"3","size":"5"}]}"#)
            default:
                .json(
                    200,
                    #"{"nextPageToken":"two+","items":[{"name":"in/a","generation":"1","size":"9007199254740993"},{"name":"in/folder/","generation":"2","size":"0"}]}"#
                )
            }
        } _: { server in
            let store = try store(server)
            var objects: [StoredObject] = []
            var token: String?
            repeat {
                let page = try await store.list(prefix: "", after: token)
                objects += page.objects
                token = page.next
            } while token != nil
            #expect(
                objects == [
                    StoredObject(name: "a", size: 9_007_199_254_740_993, version: "1"),
                    StoredObject(name: "c", size: 5, version: "3"),
                ])
            #expect(server.requests.allSatisfy { $0.target.contains("prefix=in%2F") })
            #expect(server.requests.allSatisfy { $0.headers["authorization"] == "Bearer secret" })
        }
    }

    @Test func `the listed generation is asked for, raw, under a strictly encoded name`() async throws {
        let content = [UInt8](repeating: 7, count: 1_000_000)
        try await withLoopbackServer { _ in
            .respond(200, headers: ["x-goog-generation": "17", "Content-Encoding": "gzip"], body: content)
        } _: { server in
            let body = try await store(server).open(object, from: 0)
            var count = 0
            while let chunk = try await body.next() { count += chunk.count }
            #expect(count == 1_000_000)
            let request = try #require(server.requests.first)
            #expect(
                request.target
                    == "/storage/v1/b/bucket/o/in%2Fa%20b%2F%C3%A4.csv.gz?alt=media&generation=17&ifGenerationMatch=17")
            #expect(request.headers["accept-encoding"] == "gzip")
            #expect(request.headers["range"] == nil)
        }
    }

    /// A connection that breaks after every 300,000 bytes.
    @Test func `a broken download goes on from its offset in the same generation`() async throws {
        let content = (0..<1_000_000).map { UInt8(truncatingIfNeeded: $0 / 7) }
        try await withLoopbackServer { request in
            let start = request.headers["range"].flatMap { Int($0.dropFirst("bytes=".count).dropLast()) } ?? 0
            let head =
                "HTTP/1.1 \(start == 0 ? 200 : 206) OK\r\nx-goog-generation: 17\r\nContent-Length: \(content.count - start)\r\n\r\n"
            return .raw(Array(head.utf8) + content[start..<min(start + 300_000, content.count)])
        } _: { server in
            let body = try await store(server).open(object, from: 10)
            var bytes: [UInt8] = []
            while let chunk = try await body.next() { bytes += chunk }
            #expect(bytes == Array(content[10...]))
            #expect(server.requests.count == 4)
            #expect(server.requests.allSatisfy { $0.target.contains("generation=17") })
        }
    }

    @Test func `an answer that never brings a byte is the run's to bear`() async throws {
        try await withLoopbackServer { _ in
            .truncated(body: [], promised: 1_000_000)
        } _: { server in
            let error = await #expect(throws: ExtractError.self) {
                // Where the body breaks is known when it is read.
                let body = try await store(server).open(object, from: 0)
                while try await body.next() != nil {}
            }
            #expect(error?.kind == .unavailable)
            #expect(server.requests.count <= 2)
        }
    }

    @Test func `a body shorter than the listed size is no end`() async throws {
        try await withLoopbackServer { _ in
            .respond(200, headers: ["x-goog-generation": "17"], body: [1, 2, 3])
        } _: { server in
            let body = try await store(server).open(object, from: 0)
            let error = await #expect(throws: ExtractError.self) { while try await body.next() != nil {} }
            #expect(error?.kind == .unavailable)
        }
    }

    @Test(arguments: [
        (401, ExtractError.Kind.denied), (403, .denied), (408, .unavailable), (429, .unavailable), (500, .unavailable),
        (503, .unavailable), (400, .configuration),
    ])
    func `refusals have their kinds, and no message holds the token`(status: Int, kind: ExtractError.Kind) async throws
    {
        try await withLoopbackServer { _ in
            .respond(
                status, headers: ["Retry-After": "3"],
                body: Array(#"{"error":{"code":1,"message":"It is so."}}"#.utf8))
        } _: { server in
            let store = try store(server)
            for attempt in 0..<2 {
                let error = await #expect(throws: ExtractError.self) {
                    if attempt == 0 {
                        _ = try await store.list(prefix: "x", after: nil)
                    } else {
                        _ = try await store.open(object, from: 0)
                    }
                }
                #expect(error?.kind == kind)
                #expect(error?.description.contains("It is so.") ?? false)
                #expect(error?.description.contains("secret") == false)
                if kind == .unavailable { #expect(error?.retryAfter == .seconds(3)) }
            }
        }
    }

    @Test func `a generation that made way for another is changed, one without successor gone`() async throws {
        for (status, metadata, isGone) in [(412, "", false), (404, #"{"generation":"18"}"#, false), (404, "", true)] {
            try await withLoopbackServer { request in
                request.target.contains("alt=media") || metadata.isEmpty
                    ? .respond(status, body: Array("No such object".utf8)) : .json(200, metadata)
            } _: { server in
                let error = await #expect(throws: ObjectStoreError.self) {
                    _ = try await store(server).open(object, from: 0)
                }
                switch error {
                case .gone?: #expect(isGone)
                case .changed?: #expect(!isGone)
                case nil: Issue.record("no error")
                }
            }
        }
    }
}
