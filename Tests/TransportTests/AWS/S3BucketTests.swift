import Foundation
import Synchronization
import TestSupport
import Testing

@testable import Transport

@Suite struct S3BucketTests {
    private let keys = AWSCredentialProvider(AWSCredentials(accessKeyID: "id", secretAccessKey: "s"), place: "a test")

    private func url(_ bucket: String, endpoint: String? = nil, region: String = "eu-central-1") -> String {
        S3Bucket(name: bucket, endpoint: endpoint, credentials: nil, client: HTTPClient())
            .url(key: "a b/ä", query: "x=1", region: region)
    }

    @Test func `the bucket stands in the host where the certificate allows it, else in the path`() {
        #expect(url("logs") == "https://logs.s3.eu-central-1.amazonaws.com/a%20b/%C3%A4?x=1")
        #expect(url("my.logs") == "https://s3.eu-central-1.amazonaws.com/my.logs/a%20b/%C3%A4?x=1")
        #expect(url("logs", region: "cn-north-1") == "https://logs.s3.cn-north-1.amazonaws.com.cn/a%20b/%C3%A4?x=1")
        #expect(url("logs", endpoint: "http://127.0.0.1:9000/") == "http://127.0.0.1:9000/logs/a%20b/%C3%A4?x=1")
        #expect(url("logs", endpoint: "https://logs.example.com") == "https://logs.example.com/a%20b/%C3%A4?x=1")
    }

    private static func region(of request: LoopbackServer.Request) -> String {
        let scope = request.headers["authorization"]?.split(separator: "/") ?? []
        return scope.count > 2 ? String(scope[2]) : ""
    }

    @Test(arguments: [
        (301, "x-amz-bucket-region", ""), (400, "", "<Region>eu-west-3</Region>"),
        (400, "x-amz-bucket-region", "<Region>eu-west-3</Region>"),
    ])
    func `the bucket's region is learnt from the first answer and kept`(
        status: Int, header: String, member: String
    ) async throws {
        try await withLoopbackServer { request in
            guard Self.region(of: request) != "eu-west-3" else { return .text(200, "ok") }
            return .respond(
                status, headers: header.isEmpty ? [:] : [header: "eu-west-3"],
                body: Array(
                    "<Error><Code>AuthorizationHeaderMalformed</Code><Message>m</Message>\(member)</Error>".utf8))
        } _: { server in
            let bucket = S3Bucket(name: "b", endpoint: server.url, credentials: keys, client: HTTPClient())
            for _ in 0..<2 {
                let body = try await bucket.stream(key: "k").body.collect()
                #expect(body == Array("ok".utf8))
            }
            #expect(server.requests.map(Self.region) == ["us-east-1", "eu-west-3", "eu-west-3"])
        }
    }

    @Test func `a region that stays wrong is told, not tried for ever`() async throws {
        try await withLoopbackServer { request in
            .respond(301, headers: ["x-amz-bucket-region": "r\(request.number)"])
        } _: { server in
            let bucket = S3Bucket(name: "b", endpoint: server.url, credentials: keys, client: HTTPClient())
            let error = await #expect(throws: ServiceRefusal.self) { try await bucket.stream(key: "k") }
            #expect(error?.status == 301)
            #expect(server.requests.count == 2)
        }
    }

    @Test func `credentials that have just expired are renewed once`() async throws {
        let fetches = Mutex(0)
        let provider = AWSCredentialProvider(place: "a test", now: { Date() }) { () async throws(AuthError) in
            let number = fetches.withLock { fetches in
                fetches += 1
                return fetches
            }
            return AWSCredentials(accessKeyID: "id\(number)", secretAccessKey: "s", sessionToken: "t")
        }
        try await withLoopbackServer { request in
            request.headers["authorization"]?.contains("Credential=id2/") ?? false
                ? .text(200, "ok")
                : .text(400, "<Error><Code>ExpiredToken</Code><Message>The token has expired.</Message></Error>")
        } _: { server in
            let bucket = S3Bucket(name: "b", endpoint: server.url, credentials: provider, client: HTTPClient())
            let body = try await bucket.stream(key: "k").body.collect()
            #expect(body == Array("ok".utf8))
            #expect(server.requests.count == 2)
            #expect(server.requests.allSatisfy { $0.headers["x-amz-security-token"] == "t" })
        }
        // Keys without an end are what they are.
        try await withLoopbackServer { _ in
            .text(403, "<Error><Code>ExpiredToken</Code><Message>m</Message></Error>")
        } _: { server in
            let bucket = S3Bucket(name: "b", endpoint: server.url, credentials: keys, client: HTTPClient())
            await #expect(throws: ServiceRefusal.self) { try await bucket.stream(key: "k") }
            #expect(server.requests.count == 1)
        }
    }

    @Test func `without credentials nothing is signed, and nothing is decoded`() async throws {
        try await withLoopbackServer { _ in
            .respond(200, headers: ["Content-Encoding": "gzip"], body: [0x1F, 0x8B, 1, 2, 3])
        } _: { server in
            let bucket = S3Bucket(name: "b", endpoint: server.url, credentials: nil, client: HTTPClient())
            let body = try await bucket.stream(key: "k").body.collect()
            #expect(body == [0x1F, 0x8B, 1, 2, 3])
            #expect(server.requests.first?.headers["authorization"] == nil)
        }
    }
}
