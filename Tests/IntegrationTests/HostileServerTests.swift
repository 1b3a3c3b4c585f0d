import Foundation
import JSONBytes
import Sandbox
import TestSupport
import Testing
import Transport

/// Servers that answer what no server should, against the real program: a defined state, a clear message, bounded memory, and no row that
/// counts as delivered.
@Suite struct HostileServerTests {
    /// Far below what the answers hold. A debug build alone takes some sixty megabytes.
    private static let memoryLimit = 150 << 20
    private static let rows = 50

    struct Case: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var answer: LoopbackServer.Answer
        /// What of the rows is in doubt; the others are pending.
        var isInDoubt = true
        var word: String
    }

    private static func errors(_ index: String...) -> LoopbackServer.Answer {
        let entries = index.map { #"{"index":\#($0),"errors":[{"reason":"invalid","message":"no"}]}"# }
        return .json(
            200,
            #"{"kind":"bigquery#tableDataInsertAllResponse","insertErrors":[\#(entries.joined(separator: ","))]}"#)
    }

    private static func padded(_ text: String, to bytes: Int) -> [UInt8] {
        Array(text.utf8) + [UInt8](repeating: UInt8(ascii: "x"), count: bytes)
    }

    static let cases = [
        Case(testDescription: "100 MB of zeros", answer: .zeros(count: 100 << 20), word: "more than"),
        Case(
            testDescription: "100 MB that begin like an answer",
            answer: .respond(
                body: padded(#"{"kind":"bigquery#tableDataInsertAllResponse","insertErrors":[{"a":""#, to: 100 << 20)),
            word: "more than"),
        Case(testDescription: "a body without end", answer: .endless, word: "more than"),
        Case(testDescription: "an index out of range", answer: errors("99999"), word: "read"),
        Case(testDescription: "an index twice", answer: errors("1", "1"), word: "read"),
        Case(testDescription: "a negative index", answer: errors("-1"), word: "read"),
        Case(testDescription: "an index that is text", answer: errors("\"one\""), word: "read"),
        Case(testDescription: "an index that is no integer", answer: errors("0.5"), word: "read"),
        Case(
            testDescription: "a 200 that is HTML", answer: .text(200, "<html>Log in</html>", type: "text/html"),
            word: "read"),
        Case(testDescription: "an empty 200", answer: .respond(), word: "read"),
        Case(testDescription: "headers without end", answer: .endlessHead, word: "header"),
        Case(testDescription: "not HTTP", answer: .raw(Array("SSH-2.0-OpenSSH_9.2\r\n".utf8)), word: "HTTP"),
        Case(
            testDescription: "fewer bytes than promised",
            answer: .truncated(body: Array(#"{"kind":"#.utf8), promised: 500),
            word: "lost"),
    ]

    // MARK: The destination

    /// Ships fifty rows to a server that looks like the table they belong to and answers requests with rows as it is told.
    private static func ship(
        to answer: LoopbackServer.Answer,
        _ check: (EtlctlProcess.Outcome, _ status: JSONValue, LoopbackServer) throws -> Void
    ) async throws {
        let sandbox = try SandboxServer()
        try sandbox.start()
        defer { sandbox.stop() }
        try await withTemporaryFolder { folder in
            let program = try prepare(folder, endpoint: sandbox.endpoint)
            #expect(try await program.run("run", "--settle", "0s").code == 0)
            let path = "/bigquery/v2/projects/p/datasets/d/tables/lines"
            let table = try await HTTPClient().send(HTTPRequest(.get, sandbox.endpoint + path)).body
            try write(1...rows, "b", in: folder)
            #expect(try await program.run("extract").code == 0)
            try await withLoopbackServer { request in
                if request.path.hasSuffix("/insertAll") { return answer }
                if request.path == path { return .respond(headers: ["Content-Type": "application/json"], body: table) }
                return .json(503, #"{"error":{"code":503,"message":"later","errors":[{"reason":"backendError"}]}}"#)
            } _: { server in
                try reconfigure(folder, sandbox.endpoint, server.url)
                let started = try program.start(["ship", "--patience", "1s", "--settle", "0s", "--json"])
                let (outcome, memory) = await started.waitMeasuringMemory()
                #expect(memory > 10 << 20 && memory < memoryLimit, "\(memory >> 20) MB")
                let status = try await program.run("status", "--json").json()["streams"]?.arrayValue?.first ?? .null
                #expect(status["delivered"]?.intValue == 1, "nothing of this is delivered")
                #expect(status["rejected"]?.intValue == 0)
                #expect(status["sending"]?.intValue == 0)
                #expect(try await program.run("audit", "--json").json()["balanced"] == true)
                try check(outcome, status, server)
                try reconfigure(folder, server.url, sandbox.endpoint)
            }
            #expect(try await program.run("ship", "--settle", "0s").code == 0)
            #expect(try sandbox.state.rowCount(of: "p.d.lines") == rows + 1)
        }
    }

    private static func prepare(_ folder: String, endpoint: String) throws -> EtlctlProcess {
        try FileManager.default.createDirectory(atPath: folder + "/drops", withIntermediateDirectories: true)
        try write(0...0, "a", in: folder)
        let text = """
            destination: {project: p, dataset: d, endpoint: "\(endpoint)", latest_views: false}
            sources:
              drops: {type: files, url: drops}
            streams:
              lines: {source: drops, from: "*.jsonl", mode: incremental, key: [id]}

            """
        try text.write(toFile: folder + "/etl.yaml", atomically: true, encoding: .utf8)
        return EtlctlProcess(folder: folder)
    }

    private static func write(_ numbers: ClosedRange<Int>, _ name: String, in folder: String) throws {
        let text = numbers.map { "{\"id\":\($0),\"name\":\"row \($0)\"}\n" }.joined()
        try text.write(toFile: "\(folder)/drops/\(name).jsonl", atomically: true, encoding: .utf8)
    }

    /// A spool with rows, and credentials whose token service is the server's `/token`.
    private static func prepareWithKey(_ folder: String, _ url: String) async throws -> EtlctlProcess {
        let program = try prepare(folder, endpoint: url)
        let key = """
            {"type":"authorized_user","client_id":"c","client_secret":"canary-secret",
             "refresh_token":"canary-refresh","token_uri":"\(url)/token"}
            """
        try key.write(toFile: folder + "/key.json", atomically: true, encoding: .utf8)
        try reconfigure(folder, "dataset: d", "dataset: d, credentials: key.json")
        #expect(try await program.run("extract").code == 0)
        return program
    }

    private static func reconfigure(_ folder: String, _ old: String, _ new: String) throws {
        let path = folder + "/etl.yaml"
        let text = try String(contentsOfFile: path, encoding: .utf8)
        try text.replacing(old, with: new).write(toFile: path, atomically: true, encoding: .utf8)
    }

    @Test(arguments: cases)
    func `an answer that no server should give leaves rows in doubt and says why`(_ bad: Case) async throws {
        try await Self.ship(to: bad.answer) { outcome, status, _ in
            #expect(outcome.code == 75, "\(outcome.output)")
            let code = try outcome.json()["error"]?["code"]
            #expect(code == "unavailable")
            let left = status["in_doubt"]?.intValue ?? 0
            #expect(left == Self.rows, "\(status)")
            #expect(outcome.diagnostics.contains(bad.word), "\(outcome.diagnostics)")
            #expect(outcome.diagnostics.contains("50 rows are safe"))
        }
    }

    @Test(arguments: [301, 302, 307, 308])
    func `a redirect is not followed, and the other host sees neither rows nor credentials`(status code: Int)
        async throws
    {
        try await withLoopbackServer { _ in
            .json(200, #"{"kind":"bigquery#tableDataInsertAllResponse"}"#)
        } _: { other in
            try await Self.ship(to: .respond(code, headers: ["Location": other.url + "/insertAll"])) {
                outcome, status, _ in
                #expect(outcome.code != 0)
                #expect(other.startedRequests == 0)
                #expect((status["in_doubt"]?.intValue ?? 0) + (status["pending"]?.intValue ?? 0) == Int64(Self.rows))
                #expect(outcome.diagnostics.contains(String(code)), "\(outcome.diagnostics)")
            }
        }
    }

    // MARK: The token service

    @Test(arguments: [
        ("<html>Log in</html>", 200), ("{\"access_token\":17,\"expires_in\":\"soon\"}", 200), ("{}", 200), ("", 200),
        ("nonsense", 500), ("{\"access_token\":\"a\\u0000b\",\"expires_in\":3600}", 200),
    ])
    func `a token service that answers garbage ends with a clear message and sends nothing`(
        text: String, status: Int
    ) async throws {
        try await withTemporaryFolder { folder in
            try await withLoopbackServer { request in
                request.path == "/token" ? .text(status, text) : .json(404, "{}")
            } _: { server in
                let program = try await Self.prepareWithKey(folder, server.url)
                let outcome = try await program.run("ship", "--patience", "1s", "--json")
                #expect(outcome.code == 75, "\(outcome.output)\(outcome.diagnostics)")
                #expect(outcome.diagnostics.contains("/token") || outcome.diagnostics.contains("token"))
                #expect(!(outcome.output + outcome.diagnostics).contains("canary"))
                #expect(!server.requests.contains { $0.path.hasSuffix("/insertAll") })
                let state = try await program.run("status", "--json").json()["streams"]?.arrayValue?.first
                #expect(state?["pending"]?.intValue == 1)
            }
        }
    }

    @Test(arguments: [400, 403, 500, 502])
    func `a server that repeats the token in its refusals does not get it into the spool or a message`(
        status: Int
    ) async throws {
        try await withTemporaryFolder { folder in
            try await withLoopbackServer { request in
                if request.path == "/token" {
                    return .json(200, #"{"access_token":"canary-token-canary","expires_in":3600}"#)
                }
                let text = "refused: \(request.headers["authorization"] ?? "")"
                return .json(status, #"{"error":{"code":\#(status),"message":"\#(text)","errors":[{"reason":"x"}]}}"#)
            } _: { server in
                let program = try await Self.prepareWithKey(folder, server.url)
                let outcome = try await program.run("ship", "--patience", "1s", "--json", "--verbose")
                #expect(outcome.code != 0)
                #expect(outcome.diagnostics.contains("refused: Bearer ***"), "\(outcome.diagnostics)")
                #expect(server.requests.contains { $0.headers["authorization"] == "Bearer canary-token-canary" })
                #expect(!(outcome.output + outcome.diagnostics).contains("canary"))
                for name in try FileManager.default.contentsOfDirectory(atPath: folder + "/var") {
                    let bytes = try Data(contentsOf: URL(fileURLWithPath: folder + "/var/" + name))
                    #expect(bytes.range(of: Data("canary".utf8)) == nil, "\(name)")
                }
            }
        }
    }

    // MARK: The source

    @Test(arguments: [
        ("100 MB of zeros", LoopbackServer.Answer.zeros(count: 100 << 20)), ("a body without end", .endless),
        ("headers without end", .endlessHead), ("HTML", .text(200, "<html>Log in</html>", type: "text/html")),
        ("a redirect", .respond(307, headers: ["Location": "http://127.0.0.1:9/"])),
        ("not HTTP", .raw(Array("SSH-2.0-OpenSSH_9.2\r\n".utf8))),
    ])
    func `a source that answers garbage ends the run, spools nothing and takes no memory`(
        _ name: String, _ answer: LoopbackServer.Answer
    ) async throws {
        try await withTemporaryFolder { folder in
            try await withLoopbackServer { _ in
                answer
            } _: { server in
                let text = """
                    destination: {project: p, dataset: d, endpoint: "http://127.0.0.1:9"}
                    sources:
                      app: {type: firestore, project: p, endpoint: "\(server.url)"}
                    streams:
                      memos: {source: app, from: memos, mode: changes}

                    """
                try text.write(toFile: folder + "/etl.yaml", atomically: true, encoding: .utf8)
                let program = EtlctlProcess(folder: folder)
                let started = try program.start(["extract", "--patience", "1s", "--json"])
                let (outcome, memory) = await started.waitMeasuringMemory()
                // 78: what is there is no Firestore.
                #expect([65, 69, 78].contains(outcome.code), "\(outcome.output)")
                #expect(outcome.diagnostics.contains("Reading Firestore projects/p"), "\(outcome.diagnostics)")
                #expect(memory > 10 << 20 && memory < Self.memoryLimit, "\(memory >> 20) MB")
                let stream = try outcome.json()["streams"]?.arrayValue?.first
                #expect(stream?["rows_spooled"]?.intValue == 0)
                #expect(stream?["watermark"]?.isNull ?? true)
            }
        }
    }
}
