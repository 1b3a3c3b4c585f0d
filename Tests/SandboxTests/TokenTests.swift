import Foundation
import JSONBytes
import Sandbox
import TestSupport
import Testing

/// A throw-away service account, its key and signatures made by the openssl command: a second opinion on what the sandbox accepts.
struct ServiceAccount {
    let email = "etl@p.iam.gserviceaccount.com"
    let keyID: String
    let folder: URL

    init(keyID: String = "k1") throws {
        self.keyID = keyID
        folder = FileManager.default.temporaryDirectory.appending(path: "sandbox-key-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        try openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", pem.path)
    }

    func remove() { try? FileManager.default.removeItem(at: folder) }

    private var pem: URL { folder.appending(path: "key.pem") }

    @discardableResult
    private func openssl(_ arguments: String...) throws -> Data { try ChildProcess.output(of: ["openssl"] + arguments) }

    var keyFile: String {
        get throws {
            let key = try String(contentsOf: pem, encoding: .utf8)
            let file: JSONValue = [
                "type": "service_account", "project_id": "p", "private_key_id": .string(keyID),
                "private_key": .string(key), "client_email": .string(email),
                "token_uri": "https://oauth2.googleapis.com/token",
            ]
            return file.text
        }
    }

    func jwt(_ claims: JSONValue, header: JSONValue? = nil) throws -> String {
        let header = header ?? ["alg": "RS256", "typ": "JWT", "kid": .string(keyID)]
        let signed = Self.base64URL(Data(header.bytes)) + "." + Self.base64URL(Data(claims.bytes))
        let input = folder.appending(path: "input-\(UUID().uuidString)")
        try Data(signed.utf8).write(to: input)
        let signature = try openssl("dgst", "-sha256", "-sign", pem.path, input.path)
        return signed + "." + Self.base64URL(signature)
    }

    private static func base64URL(_ data: Data) -> String {
        data.base64EncodedString().replacingOccurrences(of: "+", with: "-").replacingOccurrences(of: "/", with: "_")
            .replacingOccurrences(of: "=", with: "")
    }
}

struct TokenTests {
    private static let start: Int64 = 1_800_000_000_000_000
    private static let scope = "https://www.googleapis.com/auth/"

    private func bench(_ account: ServiceAccount) throws -> Bench {
        let file = try account.keyFile
        return try Bench { configuration in
            configuration.requiresAuthentication = true
            configuration.serviceAccountKeys = [file]
            configuration.clock = { Self.start }
        }
    }

    private func claims(
        _ account: ServiceAccount, scope: String = "bigquery", audience: String = "https://oauth2.googleapis.com/token",
        issued: Int64 = start / 1_000_000, lifetime: Int64 = 3600
    ) -> JSONValue {
        [
            "iss": .string(account.email), "scope": .string(Self.scope + scope), "aud": .string(audience),
            "iat": .number(String(issued)), "exp": .number(String(issued + lifetime)),
        ]
    }

    private func requestToken(_ bench: Bench, _ jwt: String) throws -> PlainClient.Reply {
        let form = "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=\(jwt)"
        return try bench.client.send(
            "POST", "/token", Array(form.utf8), headers: ["Content-Type": "application/x-www-form-urlencoded"])
    }

    private func datasets(_ bench: Bench, _ token: String?) throws -> PlainClient.Reply {
        try bench.client.send(
            "GET", bench.base + "/datasets", [], headers: token.map { ["Authorization": "Bearer \($0)"] } ?? [:])
    }

    @Test func `a signed request gets a token that works until it expires`() throws {
        let account = try ServiceAccount()
        defer { account.remove() }
        let bench = try bench(account)
        #expect(try datasets(bench, nil).reason == "required")
        let reply = try requestToken(bench, try account.jwt(claims(account)))
        #expect(reply.status == 200, "\(reply.text)")
        #expect(reply.json["token_type"] == "Bearer")
        #expect(reply.json["expires_in"] == 3599)
        let token = try #require(reply.json["access_token"]?.stringValue)
        #expect(try datasets(bench, token).status == 200)
        bench.state.advanceClock(by: .seconds(3599))
        let late = try datasets(bench, token)
        #expect(late.status == 401)
        #expect(late.reason == "authError")
        #expect(late.json["error"]?["status"] == "UNAUTHENTICATED")
    }

    @Test func `a token is good for its scopes only`() throws {
        let account = try ServiceAccount()
        defer { account.remove() }
        let bench = try bench(account)
        let reply = try requestToken(bench, try account.jwt(claims(account, scope: "bigquery.insertdata")))
        let token = try #require(reply.json["access_token"]?.stringValue)
        #expect(try datasets(bench, token).status == 403)
        let insert = try bench.client.send(
            "POST", bench.base + "/datasets/d/tables/t/insertAll", Array("{}".utf8),
            headers: ["Authorization": "Bearer \(token)"])
        #expect(insert.status == 404)
    }

    @Test func `what is wrong with a signed request is told`() throws {
        let account = try ServiceAccount()
        let other = try ServiceAccount()
        defer {
            account.remove()
            other.remove()
        }
        let bench = try bench(account)
        let cases: [(String, String)] = [
            (try other.jwt(claims(account)), "Invalid JWT Signature."),
            (
                try account.jwt(claims(account), header: ["alg": "RS256", "typ": "JWT", "kid": "k2"]),
                "Invalid JWT Signature."
            ),
            (
                try account.jwt(claims(account), header: ["alg": "none", "typ": "JWT"]),
                "Invalid JWT: the algorithm must be RS256."
            ),
            (
                try account.jwt(claims(account, lifetime: 3601)),
                "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. Check your iat and exp values in the JWT claim."
            ),
            (
                try account.jwt(claims(account, issued: Self.start / 1_000_000 - 5000)),
                "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. Check your iat and exp values in the JWT claim."
            ),
            (
                try account.jwt(claims(account, audience: "https://example.com")),
                "Invalid JWT: Failed audience check. The right audience is https://oauth2.googleapis.com/token"
            ),
            ("a.b.c", "Bad Request: the assertion is no JWT."),
        ]
        for (jwt, message) in cases {
            let reply = try requestToken(bench, jwt)
            #expect(reply.status == 400)
            #expect(reply.json["error"] == "invalid_grant")
            #expect(reply.json["error_description"]?.stringValue == message)
        }
    }

    @Test func `a self-signed token for this API is taken`() throws {
        let account = try ServiceAccount()
        defer { account.remove() }
        let bench = try bench(account)
        let jwt = try account.jwt([
            "iss": .string(account.email), "sub": .string(account.email), "aud": "https://bigquery.googleapis.com/",
            "iat": 1_800_000_000, "exp": 1_800_003_600,
        ])
        #expect(try datasets(bench, jwt).status == 200)
    }

    @Test func `a refresh token of a registered user is exchanged`() throws {
        let bench = try Bench { $0.requiresAuthentication = true }
        let user: JSONValue = [
            "type": "authorized_user", "client_id": "c", "client_secret": "s", "refresh_token": "r/1",
        ]
        #expect(try bench.client.send("POST", "/sandbox/keys", user).status == 200)
        let form = "grant_type=refresh_token&client_id=c&client_secret=s&refresh_token=r%2F1"
        let reply = try bench.client.send("POST", "/token", Array(form.utf8))
        let token = try #require(reply.json["access_token"]?.stringValue)
        #expect(try datasets(bench, token).status == 200)
        bench.state.revokeTokens()
        #expect(try datasets(bench, token).status == 401)
        let wrong = try bench.client.send("POST", "/token", Array((form + "x").utf8))
        #expect(wrong.json["error"] == "invalid_grant")
    }

    @Test func `a key file that cannot be used is named without its content`() throws {
        let bench = try Bench()
        #expect(throws: SandboxError.keyFile(problem: "private_key is no PEM text")) {
            let file: JSONValue = [
                "type": "service_account", "client_email": "a", "private_key_id": "b", "private_key": "secret",
            ]
            try bench.state.register(serviceAccountKey: file.text)
        }
    }
}
