import Foundation
import JSONBytes
import TestSupport
import Testing
import Transport

/// `etlctl serve` as it runs, and a client that asks it.
struct StatusService {
    let process: EtlctlProcess.Started
    let endpoint: String
    private let http = HTTPClient(userAgent: "test")

    /// Runs it on a free port while the body does.
    static func with<Result>(
        _ program: EtlctlProcess, _ body: (StatusService) async throws -> Result
    ) async throws -> Result {
        let process = try program.start(["serve", "--port", "0", "--json"])
        do {
            let service = try await StatusService(process)
            let result = try await body(service)
            process.send(SIGKILL)
            _ = await process.wait()
            return result
        } catch {
            process.send(SIGKILL)
            _ = await process.wait()
            throw error
        }
    }

    /// Returns when it listens.
    init(_ process: EtlctlProcess.Started) async throws {
        self.process = process
        let isReady = await eventually { process.output.hasSuffix("\n") }
        try #require(isReady, "\(process.diagnostics)")
        endpoint = try #require(JSONValue(parsing: Array(process.output.utf8))["endpoint"]?.stringValue)
    }

    func ask(
        _ path: String, _ method: HTTPRequest.Method = .get, headers: [HTTPHeader] = []
    ) async throws -> HTTPResponse {
        try await http.send(HTTPRequest(method, endpoint + path, headers: headers))
    }

    func page() async throws -> String { try await ask("/").text }

    func metrics() async throws -> PrometheusText {
        let response = try await ask("/metrics")
        #expect(response.status == 200)
        #expect(response.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8")
        return try PrometheusText(response.text)
    }
}
