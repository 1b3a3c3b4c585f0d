import Foundation
import TestSupport

/// A new bucket of a store's stand-in, and how the program is told to read it.
struct Bucket: Sendable {
    let name: String
    let writer: ObjectWriter
    /// The source in YAML, in one line.
    let source: String
    /// What the program's environment holds: the store's own variables.
    let environment: [String: String]

    static let kinds = ["gs", "s3", "az"]
    /// The account of Azure's emulators; its key is public.
    static let account = "devstoreaccount1"
    static let key = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
    static let awsKeys = ["AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"]

    /// - Parameter exists: false for a bucket that is only named.
    static func make(_ kind: String, exists: Bool = true) async throws -> Bucket {
        let name = "b" + UUID().uuidString.lowercased().prefix(18)
        let bucket: Bucket
        switch kind {
        case "gs":
            let url = try await PeerServer.shared("gcs_server").url
            bucket = Bucket(
                name: name, writer: ObjectWriter(store: kind, endpoint: url),
                source: "{type: files, url: \"gs://\(name)/in/\", endpoint: \"\(url)\"}", environment: [:])
        case "s3":
            let url = try await PeerServer.shared("s3_server").url
            bucket = Bucket(
                name: name, writer: ObjectWriter(store: kind, endpoint: url),
                source: "{type: files, url: \"s3://\(name)/in/\", endpoint: \"\(url)\", region: us-east-1}",
                environment: awsKeys)
        default:
            let url = try await PeerServer.shared("azure_server").url + "/" + account
            bucket = Bucket(
                name: name, writer: ObjectWriter(store: kind, endpoint: url, account: account, key: key),
                source: "{type: files, url: \"az://\(account)/\(name)/in/\", endpoint: \"\(url)\"}",
                environment: ["AZURE_STORAGE_KEY": key])
        }
        if exists { try await bucket.writer.write([.bucket(name)]) }
        return bucket
    }

    func put(_ object: String, _ bytes: [UInt8]) async throws {
        try await writer.write([.put(name, "in/" + object, bytes)])
    }
}
