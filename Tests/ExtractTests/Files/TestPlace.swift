import Extract
import Foundation
import TestSupport
import Transport

/// A bucket or folder that tests write to, and the store that reads it.
struct TestPlace: Sendable {
    var name: String
    var store: any ObjectStore
    /// Puts objects there; they replace those of the same names.
    var put: @Sendable ([(name: String, bytes: [UInt8])]) async throws -> Void
    var delete: @Sendable (_ name: String) async throws -> Void

    static let kinds = ["local", "gs", "s3", "az"]

    static func make(_ kind: String, folder: String) async throws -> TestPlace {
        let bucket = "b" + UUID().uuidString.lowercased().prefix(18)
        let writer: ObjectWriter
        let store: any ObjectStore
        switch kind {
        case "gs":
            let url = try await PeerServer.shared("gcs_server").url
            writer = ObjectWriter(store: kind, endpoint: url)
            store = try GoogleCloudStore(
                url: "gs://\(bucket)/in/", endpoint: url, http: AuthorizedClient(client: HTTPClient(), tokens: nil))
        case "s3":
            let url = try await PeerServer.shared("s3_server").url
            writer = ObjectWriter(store: kind, endpoint: url)
            let keys = AWSCredentialProvider(
                AWSCredentials(accessKeyID: "test", secretAccessKey: "test"), place: "test")
            store = try S3Store(
                url: "s3://\(bucket)/in/", endpoint: url, region: "us-east-1", credentials: keys, client: HTTPClient())
        case "az":
            let account = AzureBlobStoreTests.account
            let url = try await PeerServer.shared("azure_server").url + "/" + account
            writer = ObjectWriter(store: kind, endpoint: url, account: account, key: AzureBlobStoreTests.key)
            store = try AzureBlobStore(
                url: "az://\(account)/\(bucket)/in/", endpoint: url,
                account: try await AzureAccount.resolve(
                    account: account, file: nil, environment: ["AZURE_STORAGE_KEY": AzureBlobStoreTests.key],
                    client: HTTPClient(), asksInstance: false),
                client: HTTPClient())
        default:
            return TestPlace(name: kind, store: LocalStore(folder: folder)) { objects in
                for (name, bytes) in objects {
                    try Data(bytes).write(to: URL(fileURLWithPath: folder + "/" + name))
                }
            } delete: { name in
                try FileManager.default.removeItem(atPath: folder + "/" + name)
            }
        }
        try await writer.write([.bucket(bucket)])
        return TestPlace(name: kind, store: store) { objects in
            try await writer.write(objects.map { .put(bucket, "in/" + $0.name, $0.bytes) })
        } delete: { name in
            try await writer.write([.delete(bucket, "in/" + name)])
        }
    }
}
