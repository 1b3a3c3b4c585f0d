import Foundation
import JSONBytes
import Sandbox
import TestSupport
import Testing
import Transport

/// How `etlctl serve` behaves: as a server, beside other commands, and with a spool that can't be read.
@Suite struct ServeConductTests {
    private func withLines(
        _ destination: String = "max_rows_per_request: 500", _ body: (FolderOfLines) async throws -> Void
    ) async throws {
        try await FolderOfLines.with(destination: destination, body)
    }

    private func bytes(_ path: String) throws -> Data { try Data(contentsOf: URL(fileURLWithPath: path)) }

    // MARK: HTTP

    @Test func `answers are typed, never stored, and load nothing but their own style`() async throws {
        try await withLines { lines in
            try await StatusService.with(lines.program) { service in
                for (path, type) in [
                    ("/", "text/html; charset=utf-8"), ("/metrics", "text/plain; version=0.0.4; charset=utf-8"),
                    ("/healthz", "text/plain; charset=utf-8"), ("/?x=1", "text/html; charset=utf-8"),
                ] {
                    let answer = try await service.ask(path)
                    #expect(answer.status == 200 && answer.headers["content-type"] == type, "\(path)")
                    #expect(answer.headers["cache-control"] == "no-store")
                    #expect(answer.headers["x-content-type-options"] == "nosniff")
                    #expect(answer.headers["content-security-policy"]?.hasPrefix("default-src 'none';") == true)
                    #expect(answer.headers["access-control-allow-origin"] == nil)
                    let head = try await service.ask(path, .head)
                    #expect(head.status == 200 && head.body.isEmpty && head.headers["content-type"] == type)
                    // What time it is stands in the others.
                    if path == "/healthz" { #expect(head.headers["content-length"] == "\(answer.body.count)") }
                }
                let page = try await service.ask("/")
                let style = try #require(page.text.firstMatch(of: /<style>((?s:.*))<\/style>/)?.1)
                let hash = Data(Digest.sha256(Array(style.utf8))).base64EncodedString()
                #expect(page.headers["content-security-policy"]?.contains("style-src 'sha256-\(hash)';") == true)
                #expect(!page.text.contains("src=") && !page.text.contains("http:") && !page.text.contains("https:"))
                #expect(page.text.contains("<meta http-equiv=\"refresh\""))
            }
        }
    }

    @Test func `other paths and methods are refused`() async throws {
        try await withLines { lines in
            try await StatusService.with(lines.program) { service in
                for path in ["/metric", "/metrics/", "/../healthz", "//", "/%2e", "/sandbox/state", "/favicon.ico"] {
                    #expect(try await service.ask(path).status == 404, "\(path)")
                }
                for method in [HTTPRequest.Method.post, .put, .patch, .delete] {
                    for path in ["/", "/metrics", "/healthz"] {
                        let answer = try await service.ask(path, method)
                        #expect(answer.status == 405 && answer.headers["allow"] == "GET, HEAD", "\(method) \(path)")
                    }
                }
            }
        }
    }

    @Test func `another site's name for this machine gets no answer`() async throws {
        try await withLines { lines in
            try await StatusService.with(lines.program) { service in
                let port = try #require(service.endpoint.split(separator: ":").last)
                for host in ["localhost", "LocalHost:\(port)", "127.0.0.1", "127.0.0.1:1", "[::1]:\(port)", "[::1]"] {
                    for path in ["/", "/metrics", "/healthz"] {
                        let answer = try await service.ask(path, headers: [HTTPHeader("Host", host)])
                        #expect(answer.status == 200, "\(host)")
                    }
                }
                for host in [
                    "evil.example", "evil.example:\(port)", "localhost.evil.example", "127.0.0.1.evil.example:\(port)",
                    "localhost:\(port)evil", "localhost:", "10.0.0.1:\(port)", "[::2]", "localhost@evil.example",
                ] {
                    for path in ["/", "/metrics", "/healthz", "/nothing"] {
                        let answer = try await service.ask(path, headers: [HTTPHeader("Host", host)])
                        #expect(answer.status == 403 && !answer.text.contains("lines"), "\(host)")
                    }
                }
                // What no client of ours sends: none, and two.
                for hosts in ["", "Host: evil.example\\r\\nHost: localhost\\r\\n"] {
                    let answer = try ChildProcess.run([
                        "bash", "-c",
                        "exec 3<>/dev/tcp/127.0.0.1/\(port); printf 'GET / HTTP/1.1\\r\\n\(hosts)\\r\\n' >&3; head -n 1 <&3",
                    ])
                    #expect(answer.hasPrefix("HTTP/1.1 403 "), "\(hosts): \(answer)")
                }
            }
        }
    }

    @Test func `it listens on 127.0.0.1 alone`() async throws {
        try await withLines { lines in
            try await StatusService.with(lines.program) { service in
                #expect(service.endpoint.hasPrefix("http://127.0.0.1:"))
                // Another address of the same interface.
                let elsewhere = service.endpoint.replacing("127.0.0.1", with: "127.0.0.2") + "/healthz"
                await #expect(throws: HTTPError.self) { try await HTTPClient().send(HTTPRequest(.get, elsewhere)) }
            }
        }
    }

    @Test func `a port that is taken ends with 75 and says what to do`() async throws {
        try await withLines { lines in
            try await StatusService.with(lines.program) { service in
                let port = String(try #require(service.endpoint.split(separator: ":").last))
                let second = try await lines.program.run("serve", "--port", port, "--json")
                let error = try second.json()["error"]
                #expect(second.code == 75 && error?["code"] == "busy", "\(second.diagnostics)")
                #expect(error?["message"]?.stringValue?.contains("127.0.0.1:\(port)") == true)
                #expect(error?["hint"]?.stringValue?.contains("--port") == true)
                #expect(try await service.ask("/healthz").status == 200)
            }
            #expect(try await lines.program.run("serve", "--port", "70000").code == 64)
        }
    }

    // MARK: Signals

    @Test(arguments: [(SIGINT, 130), (SIGTERM, 143)] as [(Int32, Int32)])
    func `it runs until a signal, which its exit code tells, and prints one object`(
        signal: Int32, code: Int32
    ) async throws {
        try await withLines { lines in
            let service = try await StatusService(try lines.program.start(["serve", "--port", "0", "--json"]))
            #expect(try await service.ask("/healthz").status == 200)
            service.process.send(signal)
            let outcome = await service.process.wait()
            #expect(outcome.code == code && outcome.diagnostics.isEmpty, "\(outcome.diagnostics)")
            #expect(try outcome.json() == ["endpoint": .string(service.endpoint)])
        }
    }

    @Test func `a second signal does not wait for the answer that is being made`() async throws {
        try await withLines { lines in
            try lines.write(10)
            #expect(try await lines.program.run("extract").code == 0)
            let service = try await StatusService(try lines.program.start(["serve", "--port", "0", "--json"]))
            // Keeps even readers out. An answer waits for two seconds before it says so, and the others for their turn.
            let holder = try await SideBySideTests.Holder(
                lines.spoolPath,
                "PRAGMA locking_mode = EXCLUSIVE; BEGIN IMMEDIATE; UPDATE routes SET spooled = spooled;")
            let asked = (0..<40).map { _ in Task { try? await service.ask("/metrics").status } }
            #expect(await eventually { service.process.diagnostics.contains("kept busy") })
            service.process.send(SIGTERM)
            #expect(await eventually { !service.process.hasPending(SIGTERM) })
            service.process.send(SIGINT)
            #expect(await service.process.wait().code == 130)
            #expect(holder.isRunning)
            var answers: [Int?] = []
            for task in asked { answers.append(await task.value) }
            #expect(answers.contains(nil), "some were not answered any more")
        }
    }

    // MARK: Beside others

    @Test func `it answers while another process writes, and changes nothing`() async throws {
        try await withLines { lines in
            try lines.write(50)
            #expect(try await lines.program.run("run", "--settle", "0s").code == 0)
            let before = try bytes(lines.spoolPath)
            try await StatusService.with(lines.program) { service in
                // Once with the first transaction in an empty log, once with rows of a killed process in it.
                for isKilled in [false, true] {
                    if isKilled {
                        try lines.write(50)
                        var killed = lines.program
                        killed.environment["ETLCTL_CRASH_AT"] = "commit.after:3"
                        #expect(try await killed.run("extract").signal == SIGKILL)
                    }
                    let writer = try await SideBySideTests.Holder(
                        lines.spoolPath, "BEGIN IMMEDIATE; UPDATE routes SET spooled = spooled;")
                    let probe = "PRAGMA busy_timeout = 0; BEGIN IMMEDIATE; ROLLBACK;"
                    #expect((try? lines.spool(probe)) == nil, "the other one holds the spool")
                    for path in ["/", "/metrics", "/healthz"] {
                        let answer = try await service.ask(path)
                        #expect(answer.status == 200, "\(answer.text)")
                    }
                    let metrics = try await service.metrics()
                    #expect(metrics["etlctl_up", [:]] == 1)
                    #expect((try? lines.spool(probe)) == nil && writer.isRunning)
                    if !isKilled { #expect(try bytes(lines.spoolPath) == before) }
                }
            }
        }
    }

    @Test func `extract and ship go on while it is asked without a pause`() async throws {
        try await withLines("max_rows_per_request: 2000") { lines in
            for _ in 0..<4 { try lines.write(4000, bytes: 500) }
            try await StatusService.with(lines.program) { service in
                let asking = Task {
                    var answers = 0
                    while !Task.isCancelled {
                        for path in ["/", "/metrics", "/healthz"] {
                            let answer = try await service.ask(path)
                            #expect(answer.status == 200, "\(answer.text)")
                            answers += 1
                        }
                    }
                    return answers
                }
                let run = try await lines.program.run("run", "--settle", "0s")
                #expect(run.code == 0, "\(run.diagnostics)")
                asking.cancel()
                // The last one may be cut off.
                if case .success(let answers) = await asking.result { #expect(answers >= 3) }
                let labels = ["stream": "lines", "table": "p.d.lines"]
                #expect(try await service.metrics()["etlctl_rows_delivered_total", labels] == 16_000)
                #expect(service.process.diagnostics.isEmpty, "\(service.process.diagnostics)")
            }
            #expect(try lines.sandbox.state.rowCount(of: "p.d.lines") == 16_000)
            #expect(try await lines.program.run("audit").code == 0)
        }
    }

    // MARK: A spool that can't be read

    /// That every answer says why the spool can't be read.
    private func expectUnreadable(_ service: StatusService, _ reason: String, _ code: String = "spool") async throws {
        let health = try await service.ask("/healthz")
        let error = try JSONValue(parsing: health.body)["error"]
        #expect(health.status == 503 && error?["code"]?.stringValue == code, "\(health.text)")
        #expect(error?["message"]?.stringValue?.contains(reason) == true, "\(health.text)")
        let metrics = try await service.metrics()
        #expect(metrics["etlctl_up", [:]] == 0 && !metrics.order.contains("etlctl_rows"), "no numbers are made up")
        let page = try await service.ask("/")
        #expect(page.status == 503 && page.text.contains("role=\"alert\"") && page.text.contains(reason))
        #expect(!page.text.contains("<table"))
    }

    @Test func `a spool that is damaged, newer, foreign or no file is told, and so is the one in its place`()
        async throws
    {
        try await withLines { lines in
            try lines.write(50)
            #expect(try await lines.program.run("extract").code == 0)
            let (path, kept) = (lines.spoolPath, lines.spoolPath + ".kept")
            func put(_ make: () throws -> Void) throws {
                for name in [path, path + "-wal", path + "-shm"] { try? FileManager.default.removeItem(atPath: name) }
                try make()
            }
            try lines.spool("VACUUM INTO '\(kept)'")
            try await StatusService.with(lines.program) { service in
                try put { try "this is no database".write(toFile: path, atomically: false, encoding: .utf8) }
                try await expectUnreadable(service, "no usable database")
                // The header stands, all behind it is rubbish.
                try put {
                    var data = try bytes(kept)
                    for index in 100..<data.count { data[index] = UInt8(truncatingIfNeeded: index &* 31) }
                    try data.write(to: URL(fileURLWithPath: path))
                }
                try await expectUnreadable(service, "no usable database")
                // Sound enough to be opened, not to be counted.
                try put {
                    try FileManager.default.copyItem(atPath: kept, toPath: path)
                    let page = try lines.spool("SELECT rootpage FROM sqlite_master WHERE name = 'routes'")
                    let number = try #require(Int(page.trimmingCharacters(in: .whitespacesAndNewlines)))
                    let size = try #require(Int(try lines.spool("PRAGMA page_size").trimmingCharacters(in: .newlines)))
                    let file = try FileHandle(forUpdating: URL(fileURLWithPath: path))
                    try file.seek(toOffset: UInt64((number - 1) * size))
                    try file.write(contentsOf: Data(repeating: 0xFF, count: size))
                    try file.close()
                }
                try await expectUnreadable(service, "no usable database")
                try put {
                    try FileManager.default.copyItem(atPath: kept, toPath: path)
                    try lines.spool("PRAGMA user_version = 99")
                }
                try await expectUnreadable(service, "written by a newer etlctl")
                try put { try lines.spool("CREATE TABLE contacts (name TEXT)") }
                try await expectUnreadable(service, "another program")
                try put { try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false) }
                try await expectUnreadable(service, "be used")

                try put { try FileManager.default.copyItem(atPath: kept, toPath: path) }
                #expect(try await service.ask("/healthz").status == 200)
                let pending = ["stream": "lines", "table": "p.d.lines", "state": "pending"]
                #expect(try await service.metrics()["etlctl_rows", pending] == 50)
                try put {}
                #expect(try await service.ask("/healthz").status == 200)
                #expect(try await service.metrics()["etlctl_spool_exists", [:]] == 0)
                // Once for each change, not for each question; the first two say the same.
                let log = service.process.diagnostics
                #expect(log.components(separatedBy: "warning:").count - 1 == 5, "\(log)")
                #expect(log.components(separatedBy: "can be read again").count - 1 == 1, "\(log)")
            }
        }
    }

    @Test func `a spool that is kept from readers is told, not waited for, and answers again afterwards`()
        async throws
    {
        try await withLines { lines in
            try lines.write(10)
            #expect(try await lines.program.run("extract").code == 0)
            try await StatusService.with(lines.program) { service in
                do {
                    let holder = try await SideBySideTests.Holder(
                        lines.spoolPath,
                        "PRAGMA locking_mode = EXCLUSIVE; BEGIN IMMEDIATE; UPDATE routes SET spooled = spooled;")
                    try await expectUnreadable(service, "kept busy", "busy")
                    #expect(holder.isRunning)
                }
                #expect(await eventually { (try? await service.ask("/healthz").status) == 200 })
            }
        }
    }
}
