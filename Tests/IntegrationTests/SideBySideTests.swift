import Foundation
import JSONBytes
import Sandbox
import Spool
import TestSupport
import Testing

/// Several commands on one spool.
@Suite struct SideBySideTests {
    /// SQLite's shell in the middle of a transaction, for as long as it lives.
    final class Holder {
        private let process: ChildProcess
        private let input: FileHandle

        /// Returns when the statements have been run.
        init(_ spool: String, _ statements: String) async throws {
            let ends = try ChildProcess.connectedEnds()
            defer { close(ends.theirs) }
            input = FileHandle(fileDescriptor: ends.ours, closeOnDealloc: true)
            process = try ChildProcess.start(["sqlite3", spool], input: .descriptor(ends.theirs))
            let mark = spool + ".held-" + UUID().uuidString
            input.write(Data("\(statements)\n.shell touch \(mark)\n".utf8))
            #expect(await eventually { FileManager.default.fileExists(atPath: mark) })
        }

        var isRunning: Bool { process.isRunning }

        deinit {
            process.send(SIGKILL)
            process.wait()
        }
    }

    private func withLines(
        _ destination: String = "max_rows_per_request: 500", _ body: (FolderOfLines) async throws -> Void
    ) async throws {
        try await FolderOfLines.with(destination: destination, body)
    }

    @Test(arguments: [
        ["status"], ["audit"], ["audit", "rows", "--limit", "5"], ["audit", "objects"], ["watermark", "show", "lines"],
        ["schema"], ["ship", "--dry-run"], ["spool", "verify"], ["spool", "backup", "FOLDER/copy.sqlite"],
    ])
    func `who only reads does not wait for one who writes`(command: [String]) async throws {
        try await withLines { lines in
            try lines.write(50)
            #expect(try await lines.program.run("run", "--settle", "0s").code == 0)
            try lines.write(50)
            // Killed, so that its rows are in the log beside the file, as they are while it runs.
            var killed = lines.program
            killed.environment["ETLCTL_CRASH_AT"] = "commit.after:3"
            #expect(try await killed.run("extract").signal == SIGKILL)
            let writer = try await Holder(
                lines.spoolPath, "BEGIN IMMEDIATE; UPDATE routes SET spooled = spooled; SELECT count(*) FROM row_data;")
            let probe = "PRAGMA busy_timeout = 0; BEGIN IMMEDIATE; ROLLBACK;"
            #expect((try? lines.spool(probe)) == nil, "the other one holds the spool")
            // The other's transaction does not end before this does: who waits for it is told so after a minute.
            let words = command.map { $0.replacing("FOLDER", with: lines.program.folder) }
            let read = try await lines.program.run(words + ["--json"])
            #expect(read.code == 0, "\(read.diagnostics)")
            #expect((try? lines.spool(probe)) == nil && writer.isRunning)
        }
    }

    @Test func `who reads for long holds up neither extract nor ship`() async throws {
        try await withLines { lines in
            try lines.write(50)
            #expect(try await lines.program.run("extract").code == 0)
            let reader = try await Holder(lines.spoolPath, "BEGIN; SELECT count(*) FROM row_data;")
            try lines.write(5000, bytes: 2000)
            let done = try await lines.program.run("run", "--settle", "0s")
            #expect(done.code == 0, "\(done.diagnostics)")
            #expect(try lines.sandbox.state.rowCount(of: "p.d.lines") == lines.count)
            #expect(reader.isRunning)
        }
    }

    @Test func `extract, ship and status at the same time do not wait for one another`() async throws {
        try await withLines("max_rows_per_request: 2000") { idle in
            try idle.write(10)
            #expect(try await idle.program.run("run", "--settle", "0s").code == 0)
            let idleSpool = try SpoolStore(path: idle.spoolPath)
            try await withLines("max_rows_per_request: 2000") { busy in
                try busy.write(10)
                #expect(try await busy.program.run("run", "--settle", "0s").code == 0)
                let busySpool = try SpoolStore(path: busy.spoolPath)
                let shipper = try busy.program.start(["ship", "--follow", "--settle", "0s"])
                var extractor = try busy.program.start(["extract"])
                // In turns, so that whatever else this machine does hits both alike.
                var status = (idle: [Duration](), busy: [Duration]())
                var commit = (idle: [Duration](), busy: [Duration]())
                for _ in 0..<20 {
                    if !extractor.isRunning {
                        #expect(await extractor.wait().code == 0)
                        try busy.write(8000, bytes: 500)
                        extractor = try busy.program.start(["extract"])
                    }
                    status.idle.append(try await timeOfStatus(idle))
                    commit.idle.append(try await timeOfCommit(idleSpool))
                    status.busy.append(try await timeOfStatus(busy))
                    commit.busy.append(try await timeOfCommit(busySpool))
                }
                #expect(await extractor.wait().code == 0)
                #expect(
                    await eventually {
                        (try? busy.sandbox.state.rowCount(of: "p.d.lines")) == busy.count
                    })
                shipper.send(SIGTERM)
                #expect(await shipper.wait().code == 143)
                expectNoWaiting(status.busy, beside: status.idle)
                // What another extractor or shipper would see, one commit each.
                expectNoWaiting(commit.busy, beside: commit.idle)
                try busySpool.close()
                #expect(try await busy.program.run("audit").code == 0)
            }
            try idleSpool.close()
        }
    }

    private func timeOfStatus(_ lines: FolderOfLines) async throws -> Duration {
        let start = ContinuousClock.now
        let outcome = try await lines.program.run("status", "--json")
        #expect(outcome.code == 0, "\(outcome.diagnostics)")
        return ContinuousClock.now - start
    }

    private func timeOfCommit(_ spool: SpoolStore) async throws -> Duration {
        let start = ContinuousClock.now
        try await spool.setTableRecord("\(start)", for: "p.d.probe", endpoint: "probe")
        return ContinuousClock.now - start
    }

    /// What two cores and their disk owe to more work is allowed for, a wait for another's whole work is not.
    private func expectNoWaiting(_ busy: [Duration], beside idle: [Duration]) {
        let (usual, usualIdle) = (busy.sorted()[busy.count / 2], idle.sorted()[idle.count / 2])
        #expect(usual < usualIdle * 2 + .milliseconds(300), "\(usual), beside an idle spool \(usualIdle)")
        let (worst, worstIdle) = (busy.max() ?? .zero, idle.max() ?? .zero)
        #expect(worst < worstIdle + .seconds(3), "\(worst), beside an idle spool \(worstIdle)")
    }
}
