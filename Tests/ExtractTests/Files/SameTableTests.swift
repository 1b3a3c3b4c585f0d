import Extract
import Foundation
import Spool
import TestSupport
import Testing
import Transport

/// A bucket or folder that tests write to, and the store that reads it.
struct TestPlace: Sendable {
    var name: String
    var store: any ObjectStore
    /// Puts objects there; they replace those of the same names.
    var put: @Sendable ([(name: String, bytes: [UInt8])]) async throws -> Void

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
            }
        }
        try await writer.write([.bucket(bucket)])
        return TestPlace(name: kind, store: store) { objects in
            try await writer.write(objects.map { .put(bucket, "in/" + $0.name, $0.bytes) })
        }
    }
}

@Suite(.needsPython) struct SameTableTests {
    private static let rows = 120

    @Test(arguments: TestPlace.kinds)
    func `a table gives the same values in every format and compression`(kind: String) async throws {
        try await withTemporaryFolder { folder in
            try await TableWriter.write(Self.rows, into: folder)
            let place = try await TestPlace.make(kind, folder: folder)
            if kind != "local" {
                try await place.put(TableWriter.forms.map { ("t." + $0, try TableWriter.bytes($0, in: folder)) })
            }
            var values: [String: [String]] = [:]
            for form in TableWriter.forms {
                try await withTemporarySpool { spool in
                    var files = FilesExtraction(folder, spool, from: "t." + form)
                    files.store = place.store
                    try await files.complete()
                    values[form] = try await files.fields()
                    let path = try await files.rows().first?.path
                    #expect(path == place.store.url + "t." + form)
                }
            }
            let wanted = try #require(values["none.parquet"])
            #expect(wanted.count == Self.rows)
            // As it was written, so that they are not all wrong in the same way.
            #expect(
                wanted[1].hasPrefix(
                    #"{"big":"9223372036854775806","code":"01","day":"2024-02-02","done":false,"id":2,"#))
            #expect(wanted[1].hasSuffix(#" \"é😀\",\n\\ 1","ratio":1.25,"updated_at":"2025-11-25T14:01:57.5Z"}"#))
            #expect(wanted[3].contains(#""note":null"#))
            for form in TableWriter.forms { #expect(values[form] == wanted, "\(form)") }
        }
    }
}
