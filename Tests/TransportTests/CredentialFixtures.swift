import Foundation
import Synchronization
import TestSupport
import Transport

/// A clock that stands still until it is moved.
final class TestClock: Sendable {
    private let time = Mutex(Date(timeIntervalSince1970: 1_764_000_000))
    var now: Date { time.withLock { $0 } }
    func advance(by seconds: TimeInterval) { time.withLock { $0 += seconds } }
}

/// Lends a new folder to the body and removes it afterwards.
func withFolder<Result>(_ body: (String) async throws -> Result) async throws -> Result {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("transport-\(UUID().uuidString)").path
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    return try await body(folder)
}

/// Writes members as a JSON file.
func write(_ members: [String: String], to path: String) throws {
    try JSONEncoder().encode(members).write(to: URL(fileURLWithPath: path))
}

func serviceAccount(tokenURL: String) throws -> [String: String] {
    [
        "type": "service_account", "client_email": "loader@p.iam.gserviceaccount.com", "private_key_id": "key-1",
        "private_key": try KeyPair.shared.get().pem, "token_uri": tokenURL,
    ]
}

func authorizedUser(tokenURL: String) -> [String: String] {
    [
        "type": "authorized_user", "client_id": "client-1", "client_secret": "canary-secret",
        "refresh_token": "1//canary-refresh", "quota_project_id": "file-project", "token_uri": tokenURL,
    ]
}

/// Writes a document that is more than text members.
func write(json: [String: Any], to path: String) throws {
    try JSONSerialization.data(withJSONObject: json).write(to: URL(fileURLWithPath: path))
}

func form(_ request: LoopbackServer.Request) -> [String: String] {
    var fields: [String: String] = [:]
    for pair in request.text.split(separator: "&") {
        let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        fields[parts[0]] = parts.last?.removingPercentEncoding
    }
    return fields
}

func base64URLDecoded(_ text: some StringProtocol) -> [UInt8] {
    var text = String(text.map { $0 == "-" ? "+" : $0 == "_" ? "/" : $0 })
    while !text.count.isMultiple(of: 4) { text += "=" }
    return Data(base64Encoded: text).map(Array.init) ?? []
}

func object(_ json: [UInt8]) -> [String: Any] {
    (try? JSONSerialization.jsonObject(with: Data(json))) as? [String: Any] ?? [:]
}

extension GoogleCredentials {
    /// The file's credentials, with nothing else around.
    static func of(_ path: String, client: HTTPClient, clock: TestClock = TestClock()) async throws -> any TokenProvider
    {
        try await resolve(
            file: path, scopes: ["https://www.googleapis.com/auth/a", "https://www.googleapis.com/auth/b"],
            environment: [:], client: client, now: { clock.now })
    }
}
