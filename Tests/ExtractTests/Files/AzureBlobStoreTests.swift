import Extract
import Foundation
import TestSupport
import Testing
import Transport

@Suite(.needsPython) struct AzureBlobStoreTests {
    /// The account of Azure's emulators; its key is public.
    static let account = "devstoreaccount1"
    static let key = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="

    private func account(_ environment: [String: String]) async throws -> AzureAccount {
        try await AzureAccount.resolve(
            account: Self.account, file: nil, environment: environment, client: HTTPClient(), asksInstance: false)
    }

    private func contract(blobsPerPage: Int = 1000) async throws -> StoreContract {
        let endpoint = try await PeerServer.shared("azure_server").url + "/" + Self.account
        let account = try await account(["AZURE_STORAGE_KEY": Self.key])
        return StoreContract(
            writer: ObjectWriter(store: "az", endpoint: endpoint, account: Self.account, key: Self.key)
        ) { container, folder in
            try AzureBlobStore(
                url: "az://\(Self.account)/\(container)/\(folder)", endpoint: endpoint, account: account,
                client: HTTPClient(), blobsPerPage: blobsPerPage)
        }
    }

    @Test func `objects of any name are listed and read, one page or many`() async throws {
        try await contract().checkNames()
        try await contract(blobsPerPage: 3).checkNames()
    }

    @Test func `offsets and ranges are exact`() async throws { try await contract().checkRanges() }

    @Test func `a replaced or deleted object is told from the listed one`() async throws {
        try await contract().checkVersions()
    }

    @Test func `a container that does not exist is the configuration's fault`() async throws {
        try await contract().checkMissingBucket()
    }

    @Test func `names that XML can't hold are read`() async throws {
        let contract = try await contract()
        let container = contract.bucket()
        let name = "tab\tbell\u{7}%41.csv"
        try await contract.writer.write([.bucket(container), .put(container, name, [1, 2])])
        let store = try contract.store(container, "")
        let objects = try await contract.all(store)
        #expect(objects.map(\.name) == [name])
        let bytes = try await contract.bytes(store, objects[0])
        #expect(bytes == [1, 2])
    }

    private func store(_ container: String, _ environment: [String: String]) async throws -> AzureBlobStore {
        let endpoint = try await PeerServer.shared("azure_server").url + "/" + Self.account
        return try AzureBlobStore(
            url: "az://\(Self.account)/\(container)/", endpoint: endpoint, account: await account(environment),
            client: HTTPClient())
    }

    private func signature(_ container: String, _ permissions: String, seconds: Int = 600) async throws -> String {
        let output = try await PythonPeer.run(
            "azure_sas", arguments: [Self.account, Self.key, container, permissions, String(seconds)])
        return String(decoding: output, as: UTF8.self)
    }

    @Test func `shared access signatures, connection strings, tokens and public containers all open the door`()
        async throws
    {
        let contract = try await contract()
        let container = contract.bucket()
        try await contract.writer.write([
            .bucket(container), .put(container, "a/b c.csv", [5]), .bucket("public"), .put("public", "p", [6]),
        ])
        let signature = try await signature(container, "rl")
        let connection = "DefaultEndpointsProtocol=https;AccountName=\(Self.account);"
        for environment in [
            ["AZURE_STORAGE_SAS_TOKEN": signature], ["AZURE_STORAGE_SAS_TOKEN": "?" + signature],
            ["AZURE_STORAGE_CONNECTION_STRING": connection + "AccountKey=\(Self.key)"],
            ["AZURE_STORAGE_CONNECTION_STRING": connection + "SharedAccessSignature=\(signature)"],
        ] {
            let store = try await store(container, environment)
            let objects = try await contract.all(store)
            #expect(objects.map(\.name) == ["a/b c.csv"])
            let bytes = try await contract.bytes(store, objects[0])
            #expect(bytes == [5])
        }
        let open = try await store("public", [:])
        let objects = try await contract.all(open)
        #expect(objects.map(\.name) == ["p"])
        try await withLoopbackServer { _ in
            .json(200, #"{"access_token":"entra","expires_in":"3600","token_type":"Bearer"}"#)
        } _: { identity in
            let store = try await store(
                container, ["IDENTITY_ENDPOINT": identity.url + "/msi", "IDENTITY_HEADER": "h"])
            let objects = try await contract.all(store)
            #expect(objects.count == 1)
            let request = try #require(identity.requests.first)
            #expect(request.target.contains("resource=https%3A%2F%2Fstorage.azure.com%2F"))
            #expect(request.headers["x-identity-header"] == "h")
        }
    }

    @Test func `what is refused is denied, and no message holds a key or a signature`() async throws {
        let contract = try await contract()
        let container = contract.bucket()
        try await contract.writer.write([.bucket(container), .put(container, "a", [5])])
        let wrong = Data("wrong key of some length".utf8).base64EncodedString()
        let expired = try await signature(container, "rl", seconds: -60)
        let blind = try await signature(container, "r")
        for environment in [
            ["AZURE_STORAGE_KEY": wrong], ["AZURE_STORAGE_SAS_TOKEN": expired], ["AZURE_STORAGE_SAS_TOKEN": blind],
        ] {
            let store = try await store(container, environment)
            let error = await #expect(throws: ExtractError.self) { try await store.list(prefix: "", after: nil) }
            #expect(error?.kind == .denied)
            let text = "\(String(describing: error)) \(error?.hint ?? "")"
            #expect(!text.contains(wrong))
            #expect(!text.contains("sig="))
        }
        // Azure says of a private container to a stranger that it does not exist.
        let stranger = try await store(container, [:])
        let error = await #expect(throws: ExtractError.self) { try await stranger.list(prefix: "", after: nil) }
        #expect(error?.kind == .configuration)
    }

    @Test func `credentials of another account or in a wrong form are named`() async throws {
        for environment in [
            ["AZURE_STORAGE_CONNECTION_STRING": "AccountName=other;AccountKey=\(Self.key)"],
            ["AZURE_STORAGE_CONNECTION_STRING": "AccountName=\(Self.account)"],
            ["AZURE_STORAGE_CONNECTION_STRING": "AccountName=\(Self.account);AccountKey=***"],
            ["AZURE_STORAGE_KEY": "no base64!"],
        ] {
            let error = await #expect(throws: AuthError.self) { try await account(environment) }
            guard case .unreadableFile? = error else {
                Issue.record("\(String(describing: error))")
                continue
            }
        }
        // Variables of another account are not for this one.
        let other = try await account(["AZURE_STORAGE_ACCOUNT": "other", "AZURE_STORAGE_KEY": "no base64!"])
        guard case .anonymous = other.credentials else {
            Issue.record("\(other.credentials)")
            return
        }
    }
}
