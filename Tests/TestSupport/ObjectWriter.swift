import Foundation

/// Writes objects into a store with its vendor's own library.
package struct ObjectWriter: Sendable {
    package enum Step: Sendable {
        case bucket(String)
        case put(String, String, [UInt8])
        case delete(String, String)
    }

    /// `s3`, `gs` or `az`.
    package var store: String
    package var endpoint: String
    package var account = ""
    package var key = ""

    package init(store: String, endpoint: String, account: String = "", key: String = "") {
        self.store = store
        self.endpoint = endpoint
        self.account = account
        self.key = key
    }

    private struct Order: Encodable {
        var store: String
        var endpoint: String
        var account: String
        var key: String
        var steps: [[String]]
    }

    package func write(_ steps: [Step]) async throws {
        let order = Order(
            store: store, endpoint: endpoint, account: account, key: key,
            steps: steps.map { step in
                switch step {
                case .bucket(let bucket): ["bucket", bucket]
                case .put(let bucket, let name, let bytes):
                    ["put", bucket, name, Data(bytes).base64EncodedString()]
                case .delete(let bucket, let name): ["delete", bucket, name]
                }
            })
        _ = try await PythonPeer.run("objects", input: JSONEncoder().encode(order))
    }
}
