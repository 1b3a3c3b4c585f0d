import Foundation
import TestSupport
import Testing

@testable import Transport

@Suite struct AWSCredentialTests {
    private func resolve(
        _ environment: [String: String], file: String? = nil, profile: String? = nil, asksInstance: Bool = false
    ) async throws -> AWSCredentialProvider {
        try await AWSCredentialProvider.resolve(
            file: file, profile: profile, environment: environment, client: HTTPClient(), asksInstance: asksInstance)
    }

    private func write(_ text: String, _ folder: String, _ name: String) throws -> String {
        let path = folder + "/" + name
        try Data(text.utf8).write(to: URL(fileURLWithPath: path))
        return path
    }

    private static let keys = ["AWS_ACCESS_KEY_ID": "ENVID", "AWS_SECRET_ACCESS_KEY": "s", "AWS_SESSION_TOKEN": "t"]

    @Test func `the environment comes before files, a profile of the configuration before the environment`()
        async throws
    {
        try await withTemporaryFolder { folder in
            let credentials = try write(
                """
                # comment
                [default]
                aws_access_key_id = DEFAULTID
                aws_secret_access_key=a=b=
                s3 =
                    endpoint_url = nested
                [etl]
                aws_access_key_id=ETLID
                aws_secret_access_key = secret
                aws_session_token = token
                """, folder, "credentials")
            let config = try write(
                """
                [default]
                region = eu-west-1
                [profile etl]
                region = eu-central-1
                aws_access_key_id = SHADOWED
                [profile "two words"]
                aws_access_key_id = QUOTEDID
                aws_secret_access_key = x
                [sso-session s]
                region = mars
                """, folder, "config")
            let files = ["AWS_SHARED_CREDENTIALS_FILE": credentials, "AWS_CONFIG_FILE": config]
            let both = files.merging(Self.keys) { first, _ in first }
            func id(_ environment: [String: String], profile: String? = nil, file: String? = nil) async throws -> String
            {
                try await resolve(environment, file: file, profile: profile).credentials().accessKeyID
            }
            #expect(try await id(both) == "ENVID")
            #expect(try await id(both, profile: "etl") == "ETLID")
            #expect(try await id(files) == "DEFAULTID")
            #expect(try await id(files.merging(["AWS_PROFILE": "etl"]) { $1 }) == "ETLID")
            #expect(try await id(files, profile: "two words") == "QUOTEDID")
            #expect(try await id(both, file: credentials) == "DEFAULTID")
            let found = try await resolve(files)
            #expect(found.region == "eu-west-1")
            let keys = try await found.credentials()
            #expect(keys.secretAccessKey == "a=b=")
            #expect(keys.sessionToken == nil)
            #expect(AWSCredentialProvider.region(profile: "etl", environment: both) == "eu-central-1")
            for missing in ["nobody", "s"] {
                await #expect(throws: AuthError.self) { try await resolve(both, profile: missing) }
            }
        }
    }

    @Test func `nothing found tells where it was looked`() async throws {
        let error = await #expect(throws: AuthError.self) { try await resolve(["AWS_EC2_METADATA_DISABLED": "true"]) }
        guard case .noCredentials(let reason)? = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(reason.contains("AWS_ACCESS_KEY_ID"))
        #expect(reason.contains("AWS_EC2_METADATA_DISABLED"))
    }

    @Test(arguments: [
        ("role_arn = r\nsource_profile = p", "circle"), ("role_arn = r", "source_profile"),
        ("role_arn = r\nsource_profile = q", "does not exist"), ("role_arn = r\nmfa_serial = m", "mfa_serial"),
        ("sso_session = s", "sso_session"), ("credential_process = /bin/false", "credential_process"),
        ("region = x", "aws_access_key_id"), ("role_arn = r\ncredential_source = Moon", "credential_source"),
        ("aws_access_key_id = a b\naws_secret_access_key = hush", "characters"),
    ])
    func `a profile that can't be used says why`(lines: String, word: String) async throws {
        try await withTemporaryFolder { folder in
            let circle = lines.contains("source_profile = p") ? "\n[p]\nrole_arn = r\nsource_profile = x" : ""
            let path = try write("[x]\n\(lines)\(circle)\n", folder, "credentials")
            let error = await #expect(throws: AuthError.self) { try await resolve([:], file: path, profile: "x") }
            #expect("\(String(describing: error))".contains(word))
            #expect(!"\(String(describing: error))".contains("hush"))
        }
    }

    @Test func `a container's credentials come from its service, with its token`() async throws {
        try await withTemporaryFolder { folder in
            let token = try write("the token\n", folder, "token")
            try await withLoopbackServer { request in
                request.headers["authorization"] == "the token"
                    ? .json(
                        200,
                        #"{"AccessKeyId":"CID","SecretAccessKey":"s","Token":"t","Expiration":"2999-01-01T00:00:00Z"}"#)
                    : .json(403, #"{"code":"no","message":"not you"}"#)
            } _: { server in
                let environment = ["AWS_CONTAINER_CREDENTIALS_FULL_URI": server.url + "/creds"]
                let keys = try await resolve(
                    environment.merging(["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": token]) { $1 }
                ).credentials()
                #expect(keys.accessKeyID == "CID")
                let refused = try await resolve(environment)
                let error = await #expect(throws: AuthError.self) { try await refused.credentials() }
                guard case .refused? = error else {
                    Issue.record("\(String(describing: error))")
                    return
                }
            }
            // Elsewhere, and without TLS, anybody could listen.
            await #expect(throws: AuthError.self) {
                try await resolve(["AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://example.com/creds"])
            }
        }
    }

    @Test func `an instance's credentials need a token first and are renewed before they end`() async throws {
        try await withLoopbackServer { request in
            switch (request.method, request.path) {
            case ("PUT", "/latest/api/token"):
                return request.headers["x-aws-ec2-metadata-token-ttl-seconds"] == nil
                    ? .respond(400) : .text(200, "imds-token")
            case ("GET", _) where request.headers["x-aws-ec2-metadata-token"] != "imds-token": return .respond(401)
            case ("GET", "/latest/meta-data/iam/security-credentials/"): return .text(200, "my role\n")
            case ("GET", "/latest/meta-data/iam/security-credentials/my%20role"):
                return .json(
                    200,
                    #"{"Code":"Success","AccessKeyId":"I\#(request.number)","SecretAccessKey":"s","Token":"t","Expiration":"2025-11-24T17:00:00Z"}"#
                )
            default: return .respond(404)
            }
        } _: { server in
            let clock = TestClock()
            let provider = try await AWSCredentialProvider.resolve(
                file: nil, profile: nil, environment: ["AWS_EC2_METADATA_SERVICE_ENDPOINT": server.url],
                client: HTTPClient(), now: { clock.now })
            let first = try await provider.credentials()
            let again = try await provider.credentials()
            #expect(first == again)
            clock.advance(by: 3600 - 200)
            let renewed = try await provider.credentials()
            #expect(renewed != first)
            #expect(renewed.accessKeyID.hasPrefix("I"))
        }
    }

    @Test(.needsPython) func `roles are assumed by keys and by a web identity`() async throws {
        let endpoint = try await PeerServer.shared("s3_server").url
        try await withTemporaryFolder { folder in
            let credentials = try write(
                """
                [base]
                aws_access_key_id = AKIDBASE
                aws_secret_access_key = secret
                [role]
                role_arn = arn:aws:iam::123456789012:role/reader
                source_profile = base
                external_id = x
                """, folder, "credentials")
            let environment = ["AWS_SHARED_CREDENTIALS_FILE": credentials, "AWS_ENDPOINT_URL_STS": endpoint]
            let assumed = try await resolve(environment, profile: "role").credentials()
            #expect(assumed.accessKeyID.hasPrefix("ASIA"))
            #expect(assumed.sessionToken != nil)
            #expect(assumed.expiresAt < .distantFuture)
            let token = try write("header.payload.signature", folder, "identity")
            let web = try await resolve([
                "AWS_ENDPOINT_URL_STS": endpoint, "AWS_WEB_IDENTITY_TOKEN_FILE": token,
                "AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/reader",
            ]).credentials()
            #expect(web.accessKeyID.hasPrefix("ASIA"))
        }
    }

    @Test func `a role that is refused is told with AWS' words`() async throws {
        try await withTemporaryFolder { folder in
            let token = try write("header.payload.signature", folder, "identity")
            for (status, code, isPassing) in [(403, "AccessDenied", false), (400, "Throttling", true), (500, "", true)]
            {
                try await withLoopbackServer { _ in
                    .text(
                        status,
                        "<ErrorResponse><Error><Code>\(code)</Code><Message>It is so.</Message></Error></ErrorResponse>"
                    )
                } _: { server in
                    let provider = try await resolve([
                        "AWS_ENDPOINT_URL_STS": server.url, "AWS_WEB_IDENTITY_TOKEN_FILE": token,
                        "AWS_ROLE_ARN": "arn:r",
                    ])
                    let error = await #expect(throws: AuthError.self) { try await provider.credentials() }
                    #expect(error?.isTransient == isPassing)
                    #expect("\(String(describing: error))".contains("It is so."))
                    #expect(!"\(String(describing: error))".contains("header.payload"))
                }
            }
        }
    }
}
