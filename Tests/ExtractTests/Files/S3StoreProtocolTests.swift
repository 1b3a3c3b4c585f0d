import Extract
import Foundation
import TestSupport
import Testing
import Transport

/// What moto does not do, by the documentation of S3.
@Suite struct S3StoreProtocolTests {
    private let object = StoredObject(name: "a b.csv", size: 1_000_000, version: "tag")

    private func store(_ server: LoopbackServer) throws -> S3Store {
        let keys = AWSCredentialProvider(
            AWSCredentials(accessKeyID: "test", secretAccessKey: "hidden"), place: "test")
        return try S3Store(
            url: "s3://bucket/in/", endpoint: server.url, region: "us-east-1", credentials: keys, client: HTTPClient())
    }

    /// A connection that breaks after every 300,000 bytes.
    @Test func `a broken download goes on from its offset in the same version`() async throws {
        let content = (0..<1_000_000).map { UInt8(truncatingIfNeeded: $0 / 7) }
        try await withLoopbackServer { request in
            let start = request.headers["range"].flatMap { Int($0.dropFirst("bytes=".count).dropLast()) } ?? 0
            let head =
                "HTTP/1.1 \(start == 0 ? 200 : 206) OK\r\nETag: \"tag\"\r\nContent-Length: \(content.count - start)\r\n\r\n"
            return .raw(Array(head.utf8) + content[start..<min(start + 300_000, content.count)])
        } _: { server in
            let body = try await store(server).open(object, from: 10)
            var bytes: [UInt8] = []
            while let chunk = try await body.next() { bytes += chunk }
            #expect(bytes == Array(content[10...]))
            #expect(server.requests.count == 4)
            #expect(server.requests.allSatisfy { $0.headers["if-match"] == "\"tag\"" })
        }
    }

    @Test(arguments: [
        (403, "AccessDenied", ExtractError.Kind.denied), (403, "RequestTimeTooSkewed", .denied),
        (400, "ExpiredToken", .denied), (403, "InvalidAccessKeyId", .denied), (404, "NoSuchBucket", .configuration),
        (403, "InvalidObjectState", .malformed), (503, "SlowDown", .unavailable), (500, "InternalError", .unavailable),
    ])
    func `refusals have their kinds, and no message holds the secret`(
        status: Int, code: String, kind: ExtractError.Kind
    ) async throws {
        try await withLoopbackServer { _ in
            .respond(status, body: Array("<Error><Code>\(code)</Code><Message>It is so.</Message></Error>".utf8))
        } _: { server in
            let error = await #expect(throws: ExtractError.self) { _ = try await store(server).open(object, from: 0) }
            #expect(error?.kind == kind)
            let text = "\(String(describing: error)) \(error?.hint ?? "")"
            #expect(text.contains(code) && !text.contains("hidden"))
            if code == "RequestTimeTooSkewed" { #expect(text.contains("clock")) }
        }
    }

    @Test func `another version or none is told apart`() async throws {
        for (status, code, isGone) in [(412, "PreconditionFailed", false), (404, "NoSuchKey", true)] {
            try await withLoopbackServer { _ in
                .respond(status, body: Array("<Error><Code>\(code)</Code></Error>".utf8))
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
