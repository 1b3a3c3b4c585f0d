import Foundation
import JSONBytes
import TestSupport
import Testing

/// What a store refuses, through the program: the exit code, and a message that says what to do and never holds a secret.
@Suite struct BucketRefusalTests {
    private static let azure = "az://\(Bucket.account)/c/"

    private func extract(
        _ source: String, _ environment: [String: String] = [:]
    ) async throws -> (code: Int32?, text: String) {
        try await SQLPipeline.with(source: source, stream: "from: \"*.csv\"", environment: environment) { pipeline in
            let outcome = try await pipeline.program.run("extract", "--json")
            let spooled = try? pipeline.spool("SELECT count(*) FROM spooled_rows")
            #expect(spooled == "0\n")
            return (outcome.code, outcome.output + outcome.diagnostics)
        }
    }

    private func expect(
        _ found: (code: Int32?, text: String), _ code: Int32, _ words: [String],
        at location: SourceLocation = #_sourceLocation
    ) {
        #expect(found.code == code, "\(found.text)", sourceLocation: location)
        for word in words { #expect(found.text.contains(word), "\(word): \(found.text)", sourceLocation: location) }
    }

    /// The time of a server whose clock is that far from this machine's.
    private static func date(_ seconds: TimeInterval) -> [String: String] {
        let format = DateFormatter()
        format.locale = Locale(identifier: "en_US_POSIX")
        format.timeZone = TimeZone(identifier: "GMT")
        format.dateFormat = "EEE, dd MMM yyyy HH:mm:ss 'GMT'"
        return ["Date": format.string(from: Date() + seconds)]
    }

    private static func refusal(
        _ status: Int, _ code: String, clock: TimeInterval = 0
    ) -> LoopbackServer.Answer {
        .respond(
            status, headers: date(clock),
            body: Array("<Error><Code>\(code)</Code><Message>It is so.</Message></Error>".utf8))
    }

    // MARK: S3

    private static let s3: [(status: Int, code: String, clock: TimeInterval, exit: Int32, words: [String])] = [
        (400, "ExpiredToken", 0.0, Int32(77), ["ExpiredToken", "has expired", "aws sso login"]),
        (403, "RequestTimeTooSkewed", 7230, 77, ["clock is 2 h 0 min behind the server's", "NTP"]),
        (403, "RequestTimeTooSkewed", -3 * 86_400, 77, ["clock is 3 days ahead of the server's", "NTP"]),
        (403, "InvalidAccessKeyId", 0, 77, ["InvalidAccessKeyId", "check the access key"]),
        (403, "AccessDenied", 0, 77, ["AccessDenied", "s3:ListBucket"]),
        (404, "NoSuchBucket", 0, 78, ["bucket b does not exist", "NoSuchBucket"]),
    ]

    @Test(arguments: s3)
    func `S3 refuses`(status: Int, code: String, clock: TimeInterval, exit: Int32, words: [String]) async throws {
        try await withLoopbackServer { _ in
            Self.refusal(status, code, clock: clock)
        } _: { server in
            let found = try await extract(
                "{type: files, url: \"s3://b/\", endpoint: \"\(server.url)\", region: us-east-1}",
                [
                    "AWS_ACCESS_KEY_ID": "AKIA1", "AWS_SECRET_ACCESS_KEY": "canary-secret",
                    "AWS_SESSION_TOKEN": "canary-token",
                ])
            expect(found, exit, words)
            #expect(!found.text.contains("canary"))
            if clock == 0 { #expect(!found.text.contains("clock is"), "\(found.text)") }
        }
    }

    // MARK: Google Cloud Storage

    /// A store that takes no token, and a token service that always has another one.
    @Test func `Google refuses every token, also a fresh one`() async throws {
        try await withLoopbackServer { request in
            request.path == "/token"
                ? .json(200, #"{"access_token":"canary-\#(request.number)","expires_in":3600,"token_type":"Bearer"}"#)
                : .json(401, #"{"error":{"code":401,"message":"Invalid Credentials"}}"#)
        } _: { server in
            let found = try await withTemporaryFolder { folder in
                let key: JSONValue = [
                    "type": "authorized_user", "client_id": "c", "client_secret": "canary", "refresh_token": "canary",
                    "token_uri": .string(server.url + "/token"),
                ]
                try key.text.write(toFile: folder + "/user.json", atomically: true, encoding: .utf8)
                return try await extract(
                    "{type: files, url: \"gs://b/\", endpoint: \"\(server.url)\", credentials: \"\(folder)/user.json\"}"
                )
            }
            expect(found, 77, ["HTTP 401: Invalid Credentials", "a fresh token was refused too", "gs://b/"])
            #expect(!found.text.contains("canary"))
            let tokens = server.requests.filter { $0.path != "/token" }.compactMap { $0.headers["authorization"] }
            #expect(tokens.count == 2 && Set(tokens).count == 2, "\(tokens)")
        }
    }

    @Test func `Google's token service finds a statement of the wrong time`() async throws {
        try await withLoopbackServer { request in
            let text =
                #"{"error":"invalid_grant","error_description":"Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe."}"#
            return .respond(400, headers: Self.date(-5430), body: Array(text.utf8))
        } _: { server in
            let found = try await withTemporaryFolder { folder in
                try ChildProcess.run(["openssl", "genrsa", "-out", folder + "/rsa.pem", "2048"])
                let key: JSONValue = [
                    "type": "service_account", "client_email": "loader@p.iam.gserviceaccount.com",
                    "private_key": .string(try String(contentsOfFile: folder + "/rsa.pem", encoding: .utf8)),
                    "private_key_id": "k", "token_uri": .string(server.url + "/token"),
                ]
                try key.text.write(toFile: folder + "/key.json", atomically: true, encoding: .utf8)
                return try await extract(
                    "{type: files, url: \"gs://b/\", endpoint: \"\(server.url)\", credentials: \"\(folder)/key.json\"}")
            }
            expect(
                found, 77,
                ["loader@p.iam.gserviceaccount.com", "check this machine's clock", "1 h 30 min ahead of the server's"])
        }
    }

    @Test func `Google denies access`() async throws {
        try await withLoopbackServer { _ in
            .json(403, #"{"error":{"code":403,"message":"loader does not have storage.objects.list access."}}"#)
        } _: { server in
            let found = try await extract("{type: files, url: \"gs://b/\", endpoint: \"\(server.url)\"}")
            expect(found, 77, ["storage.objects.list", "roles/storage.objectViewer"])
        }
    }

    // MARK: Azure

    @Test(.needsPython) func `Azure refuses a signature that has expired, and one that may not list`() async throws {
        let bucket = try await Bucket.make("az")
        for (permissions, seconds, words) in [
            ("rl", "-60", ["AuthenticationFailed", "holds until", "get a new one"]),
            ("r", "600", ["AuthorizationPermissionMismatch", "Storage Blob Data Reader"]),
        ] {
            let signature = try await PythonPeer.run(
                "azure_sas", arguments: [Bucket.account, Bucket.key, bucket.name, permissions, seconds])
            let found = try await extract(
                bucket.source, ["AZURE_STORAGE_SAS_TOKEN": String(decoding: signature, as: UTF8.self)])
            expect(found, 77, words)
            #expect(!found.text.contains("sig="))
        }
    }

    private static let azureCases: [(code: String, clock: TimeInterval, exit: Int32, words: [String])] = [
        ("AuthenticationFailed", 1830.0, Int32(77), ["clock is 30 min", "behind the server's", "NTP"]),
        ("AuthenticationFailed", 0, 77, ["check the account's key"]),
        ("AuthorizationFailure", 0, 77, ["Storage Blob Data Reader"]),
    ]

    @Test(arguments: azureCases)
    func `Azure refuses a signature`(code: String, clock: TimeInterval, exit: Int32, words: [String]) async throws {
        try await withLoopbackServer { _ in
            Self.refusal(403, code, clock: clock)
        } _: { server in
            let found = try await extract(
                "{type: files, url: \"\(Self.azure)\", endpoint: \"\(server.url)\"}",
                ["AZURE_STORAGE_KEY": Bucket.key])
            expect(found, exit, words)
            #expect(!found.text.contains(Bucket.key))
        }
    }

    // MARK: Every store

    @Test(.needsPython, arguments: Bucket.kinds)
    func `a bucket that is not there is the configuration's fault`(kind: String) async throws {
        let bucket = try await Bucket.make(kind, exists: false)
        let found = try await extract(bucket.source, bucket.environment)
        expect(found, 78, [bucket.name, "does not exist"])
    }
}
