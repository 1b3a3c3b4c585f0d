import Foundation
import JSONBytes
import Sandbox
import Spool
import TestSupport
import Testing
import Transport

/// What `etlctl serve` says of a spool, with the real program over HTTP.
@Suite struct ServeTests {
    private func withLines(spool: String = "", _ body: (FolderOfLines) async throws -> Void) async throws {
        try await FolderOfLines.with(destination: "max_rows_per_request: 10", spool: spool, body)
    }

    /// That metrics say what `status` and `audit` do, of every stream and table.
    private func expectNumbersOfStatus(_ lines: FolderOfLines, _ service: StatusService) async throws {
        let metrics = try await service.metrics()
        let status = try await lines.program.run("status", "--json").json()
        let audit = try await lines.program.run("audit", "--json").json()
        let statusLines = try #require(status["streams"]?.arrayValue)
        #expect(!statusLines.isEmpty)
        for line in statusLines + (audit["streams"]?.arrayValue ?? []) {
            let stream = try #require(line["stream"]?.stringValue)
            let labels = ["stream": stream, "table": try #require(line["table"]?.stringValue)]
            for state in RowState.allCases {
                let shown = metrics["etlctl_rows", labels.merging(["state": state.rawValue]) { $1 }]
                #expect(shown == line[state.rawValue]?.intValue.map(Double.init), "\(labels) \(state)")
            }
            if let spooled = line["spooled"]?.intValue, let retired = line["retired"]?.intValue {
                let delivered = try #require(line["delivered"]?.intValue)
                #expect(metrics["etlctl_rows_spooled_total", labels] == Double(spooled))
                #expect(metrics["etlctl_rows_delivered_total", labels] == Double(delivered + retired))
                #expect(metrics["etlctl_rows_retired_total", labels] == Double(retired))
            }
            if let run = line["last_run"], let name = run["status"]?.stringValue {
                #expect(metrics["etlctl_last_run_status", ["stream": stream, "status": name]] == 1)
                let read = run["rows_read"]?.intValue.map(Double.init)
                #expect(metrics["etlctl_last_run_rows_read", ["stream": stream]] == read)
            }
            if let removed = line["removed"] {
                #expect(metrics["etlctl_stream_configured", ["stream": stream]] == (removed == true ? 0 : 1))
                let age = metrics["etlctl_oldest_undelivered_age_seconds", labels]
                #expect((line["oldest_undelivered_seconds"] == .null) == (age == 0), "\(age ?? -1)")
            }
        }
        #expect(metrics["etlctl_spool_used_bytes", [:]] == status["spool"]?["bytes"]?.intValue.map(Double.init))
        let series = Set(
            metrics.values.keys.filter { $0.name == "etlctl_rows_spooled_total" }.map { $0.labels["table"] ?? "" })
        #expect(series == Set(try #require(audit["streams"]?.arrayValue).map { $0["table"]?.stringValue ?? "" }))
    }

    @Test func `before the first extraction it says so, and the spool is seen when it is there`() async throws {
        try await withLines { lines in
            try lines.write(12)
            try await StatusService.with(lines.program) { service in
                let health = try await service.ask("/healthz")
                #expect(health.status == 200 && health.text == "ok\n")
                #expect(try await service.page().contains("There is no spool yet"))
                var metrics = try await service.metrics()
                #expect(metrics["etlctl_up", [:]] == 1 && metrics["etlctl_spool_exists", [:]] == 0)
                let pending = ["stream": "lines", "table": "p.d.lines", "state": "pending"]
                #expect(metrics["etlctl_rows", pending] == 0)
                #expect(!FileManager.default.fileExists(atPath: lines.spoolPath), "who looks makes no spool")

                #expect(try await lines.program.run("extract").code == 0)
                metrics = try await service.metrics()
                #expect(metrics["etlctl_spool_exists", [:]] == 1 && metrics["etlctl_rows", pending] == 12)
                #expect(metrics["etlctl_spool_max_bytes", [:]] == Double(20 << 30))
                #expect((metrics["etlctl_spool_filesystem_free_bytes", [:]] ?? 0) > 0)
                let page = try await service.page()
                #expect(page.contains("<th scope=\"row\">lines</th><td>p.d.lines</td>"))
                #expect(page.contains("<strong>complete</strong>") && page.contains(lines.spoolPath))
                #expect(!page.contains("There is no spool yet"))
            }
        }
    }

    @Test func `the numbers are those of status and audit through deliveries, rejections, decisions and retention`()
        async throws
    {
        try await withLines(spool: ", keep_delivered: 1s") { lines in
            try await StatusService.with(lines.program) { service in
                try lines.write(30)
                #expect(try await lines.program.run("run", "--settle", "0s").code == 0)
                try lines.write(50)
                #expect(try await lines.program.run("extract").code == 0)
                try await expectNumbersOfStatus(lines, service)
                try lines.sandbox.state.setFaults("row-error=invalid,rate=0.3", "seed=7")
                #expect(try await lines.program.run("ship", "--settle", "0s").code == 65)
                lines.sandbox.state.clearFaults()
                let one = try await lines.program.run("audit", "rows", "--state", "rejected", "--limit", "1", "--json")
                let id = try #require(one.json()["rows"]?.arrayValue?.first?["id"]?.stringValue)
                #expect(try await lines.program.run("discard", "--why", "a test", "--id", id).code == 0)
                // A request without an answer leaves its rows in doubt.
                try lines.write(15)
                #expect(try await lines.program.run("extract").code == 0)
                try lines.sandbox.state.setFaults("accept-then-drop-reply,on=insertAll", "deny=query")
                #expect(try await lines.program.run("ship", "--settle", "0s", "--patience", "1s").code == 75)
                lines.sandbox.state.clearFaults()
                let open = try lines.spool("SELECT count(*) FROM request_log WHERE state = 'in_doubt'")
                let inDoubt = ["stream": "lines", "table": "p.d.lines", "state": "in_doubt"]
                let requests = try await service.metrics()["etlctl_open_requests", inDoubt]
                #expect(requests == Double(open.trimmingCharacters(in: .whitespacesAndNewlines)) && requests != 0)
                try await expectNumbersOfStatus(lines, service)
                // Retention, and another table for what comes.
                try await Task.sleep(for: .seconds(1.1))
                #expect(try await lines.program.run("ship", "--settle", "0s").code == 0)
                let path = lines.program.folder + "/etl.yaml"
                let text = try String(contentsOfFile: path, encoding: .utf8)
                try text.replacing("key: [id]}", with: "key: [id], table: other}").write(
                    toFile: path, atomically: true, encoding: .utf8)
                try lines.write(5)
                #expect(try await lines.program.run("watermark", "reset", "lines").code == 0)
                #expect(try await lines.program.run("extract").code == 0)
                let audit = try await lines.program.run("audit", "--json").json()
                let retired = audit["streams"]?.arrayValue?.first?["retired"]?.intValue ?? 0
                #expect(retired > 0 && audit["streams"]?.arrayValue?.count == 2)
            }
            // What is configured is read once, at the start.
            try await StatusService.with(lines.program) { service in
                try await expectNumbersOfStatus(lines, service)
            }
        }
    }

    @Test func `a stream that is no longer configured is marked, and one table at two endpoints is one series`()
        async throws
    {
        try await withLines { lines in
            let store = try SpoolStore(path: lines.spoolPath)
            try await store.spool(0..<3, to: .memos(endpoint: "https://one"))
            try await store.spool(3..<7, to: .memos(endpoint: "https://two"))
            try store.close()
            try await StatusService.with(lines.program) { service in
                let metrics = try await service.metrics()
                let labels = ["stream": "memos", "table": "project.raw.memos"]
                #expect(metrics["etlctl_rows_spooled_total", labels] == 7)
                #expect(metrics["etlctl_rows", labels.merging(["state": "pending"]) { $1 }] == 7)
                #expect((metrics["etlctl_oldest_undelivered_age_seconds", labels] ?? 0) > 0)
                #expect(metrics["etlctl_stream_configured", ["stream": "memos"]] == 0)
                #expect(try await service.page().contains("memos <span class=\"note\">removed</span>"))
            }
        }
    }

    @Test func `names, errors and watermarks with anything in them break neither the page nor the metrics`()
        async throws
    {
        let hostile = "</td><script>alert('x' + \"y\")</script>&amp;\\ \u{202E}\r\n{a=\"b\"} \\\" é😀"
        try await withLines { lines in
            let store = try SpoolStore(path: lines.spoolPath)
            let run = try await store.beginTestRun(.memos(hostile, table: hostile))
            try await store.append(PageCommit(run: run, rows: RowBatch([TestRow(1)])))
            try await store.endRun(run, status: .failed, warnings: nil, error: hostile)
            let watermark = Watermark(value: hostile, key: nil, sortKey: [])
            try await store.setWatermark(watermark, stream: run.streamNumber, identity: nil)
            try store.close()
            try await StatusService.with(lines.program) { service in
                let metrics = try await service.metrics()
                #expect(metrics["etlctl_rows_spooled_total", ["stream": hostile, "table": hostile]] == 1)
                #expect(metrics["etlctl_last_run_status", ["stream": hostile, "status": "failed"]] == 1)
                let page = try await service.page()
                #expect(!page.contains("<script") && !page.contains("alert('") && !page.contains("\u{202E}"))
                let escaped =
                    "&lt;/td&gt;&lt;script&gt;alert(&#39;x&#39; + &quot;y&quot;)&lt;/script&gt;&amp;amp;\\ \\u{202e}\\u{d}\\u{a}"
                    + "{a=&quot;b&quot;} \\&quot; é😀"
                #expect(page.contains("<th scope=\"row\">\(escaped) <span"))
                #expect(page.contains("</th><td>\(escaped)</td><td>\(escaped)</td>"), "table and watermark")
                #expect(page.contains("last error: \(escaped)</li>"))
            }
        }
    }

    @Test func `docs, monitoring, lists every metric as it is served`() async throws {
        let page = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().appendingPathComponent("docs/monitoring.md")
        let rows = try String(contentsOf: page, encoding: .utf8).split(separator: "\n")
            .filter { $0.hasPrefix("`etlctl_") && $0.contains(" | ") }
        try await withLines { lines in
            try lines.write(1)
            #expect(try await lines.program.run("extract").code == 0)
            try await StatusService.with(lines.program) { service in
                let metrics = try await service.metrics()
                let served = metrics.order.map { name in
                    let labels = Set(metrics.values.keys.filter { $0.name == name }.flatMap(\.labels.keys)).sorted()
                    return ["`\(name)`", metrics.types[name] ?? "", labels.joined(separator: ", ")]
                }
                let listed = rows.map { row in
                    row.split(separator: "|").prefix(3).map { $0.trimmingCharacters(in: .whitespaces) }
                }
                #expect(listed == served)
            }
        }
    }

    @Test func `no secret that the configuration or the environment holds is in any answer`() async throws {
        try await withLines { lines in
            var program = lines.program
            let secrets = ["SHOP_PASSWORD": "s3cr&t-of-shop", "PGPASSWORD": "s3cret<of>pg"]
            program.environment.merge(secrets) { $1 }
            let path = program.folder + "/etl.yaml"
            let text = try String(contentsOfFile: path, encoding: .utf8)
            try text.replacing(
                "sources:\n",
                with: "sources:\n  shop: {type: postgres, url: \"postgres://etl:${SHOP_PASSWORD}@127.0.0.1:1/shop\"}\n"
            ).write(toFile: path, atomically: true, encoding: .utf8)
            let store = try SpoolStore(path: lines.spoolPath)
            let run = try await store.beginTestRun()
            // The spool never holds one; if it did, it would not get out here.
            try await store.endRun(
                run, status: .failed, warnings: nil, error: "refused: " + secrets.values.joined(separator: ", "))
            try store.close()
            try await StatusService.with(program) { service in
                let page = try await service.page()
                #expect(page.contains("last error: refused: &lt;redacted&gt;, &lt;redacted&gt;"))
                for path in ["/", "/metrics", "/healthz"] {
                    let answer = try await service.ask(path).text
                    #expect(!answer.contains("s3cr") && !answer.contains("of-shop"), "\(path)")
                }
            }
        }
    }
}
