import Extract
import Foundation
import TestSupport
import Testing
import Transport

/// Microsoft Entra ID against stand-ins of its services.
@Suite struct AzureIdentityTests {
    private func token(_ environment: [String: String], asksInstance: Bool = false) async throws -> String? {
        let account = try await AzureAccount.resolve(
            account: "lake", file: nil, environment: environment, client: HTTPClient(), asksInstance: asksInstance)
        guard case .token(let tokens) = account.credentials else { return nil }
        return try await tokens.token().value
    }

    private static let answer = #"{"access_token":"entra","expires_in":"3600","token_type":"Bearer"}"#

    @Test func `a virtual machine's identity comes from its metadata service, with the header it asks for`()
        async throws
    {
        try await withLoopbackServer { request in
            guard request.path == "/metadata/identity/oauth2/token" else { return .respond(404) }
            return request.headers["metadata"] == "true" ? .json(200, Self.answer) : .json(400, "{}")
        } _: { server in
            let machine = ["AZURE_POD_IDENTITY_AUTHORITY_HOST": server.url, "AZURE_CLIENT_ID": "chosen"]
            #expect(try await token(machine) == "entra")
            let request = try #require(server.requests.last)
            #expect(request.target.contains("api-version=2018-02-01"))
            #expect(request.target.contains("client_id=chosen"))
            #expect(request.target.contains("resource=https%3A%2F%2Fstorage.azure.com%2F"))
        }
    }

    @Test func `what answers otherwise is no metadata service, and nothing is found`() async throws {
        try await withLoopbackServer { _ in
            .text(200, "a router's page")
        } _: { server in
            let found = try await token(["AZURE_POD_IDENTITY_AUTHORITY_HOST": server.url])
            #expect(found == nil)
        }
    }

    @Test func `service principals and workloads ask their tenant`() async throws {
        try await withTemporaryFolder { folder in
            try Data("signed.by.cluster\n".utf8).write(to: URL(fileURLWithPath: folder + "/token"))
            try await withLoopbackServer { request in
                request.path == "/my%20tenant/oauth2/v2.0/token" ? .json(200, Self.answer) : .respond(404)
            } _: { server in
                let tenant = [
                    "AZURE_TENANT_ID": "my tenant", "AZURE_CLIENT_ID": "me", "AZURE_AUTHORITY_HOST": server.url,
                ]
                #expect(try await token(tenant.merging(["AZURE_CLIENT_SECRET": "hidden"]) { $1 }) == "entra")
                let principal = try #require(server.requests.last?.text)
                #expect(principal.contains("client_secret=hidden"))
                #expect(principal.contains("scope=https%3A%2F%2Fstorage.azure.com%2F.default"))
                #expect(
                    try await token(tenant.merging(["AZURE_FEDERATED_TOKEN_FILE": folder + "/token"]) { $1 }) == "entra"
                )
                let workload = try #require(server.requests.last?.text)
                #expect(workload.contains("client_assertion=signed.by.cluster"))
                #expect(!workload.contains("client_secret"))
            }
        }
    }

    @Test func `a refused principal is told without its secret`() async throws {
        try await withLoopbackServer { _ in
            .json(401, #"{"error":"invalid_client","error_description":"AADSTS7000215: hidden is no secret"}"#)
        } _: { server in
            let error = await #expect(throws: AuthError.self) {
                _ = try await token([
                    "AZURE_TENANT_ID": "t", "AZURE_CLIENT_ID": "me", "AZURE_AUTHORITY_HOST": server.url,
                    "AZURE_CLIENT_SECRET": "hidden",
                ])
            }
            guard case .refused? = error else {
                Issue.record("\(String(describing: error))")
                return
            }
            #expect(!"\(String(describing: error))".contains("hidden"))
        }
    }
}
