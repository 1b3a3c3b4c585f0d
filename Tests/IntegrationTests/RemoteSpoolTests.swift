import Foundation
import JSONBytes
import Sandbox
import TestSupport
import Testing

/// `spool.remote` as a user has it: disks are lost, machines take turns, stores refuse.
@Suite(.needsPython) struct RemoteSpoolTests {
    @Test(arguments: RemotePlace.kinds)
    func `disks are lost between commands, and every row arrives once`(kind: String) async throws {
        try await RemotePipeline.with(kind) { pipeline in
            try pipeline.write(25)
            let first = try await pipeline.machine().run("extract")
            #expect(first.code == 0, "\(first.diagnostics)")
            pipeline.loseDisk()
            // Status needs no disk; nothing is made there.
            let status = try await pipeline.machine().run("status", "--json").json()
            #expect(status["streams"]?.arrayValue?.first?["in_doubt"]?.intValue == 25)
            #expect(status["spool"]?["remote"]?["shown"] == true)
            #expect(!FileManager.default.fileExists(atPath: pipeline.disk()))

            let shipped = try await pipeline.machine().run("ship", "--settle", "0s")
            #expect(shipped.code == 0, "\(shipped.diagnostics)")
            await pipeline.leaveWindow()
            pipeline.loseDisk()
            try pipeline.write(15)
            // On another machine.
            let second = try await pipeline.machine("b").run("run", "--settle", "0s")
            #expect(second.code == 0, "\(second.diagnostics)")
            try await pipeline.compare("b")
            #expect(try await pipeline.machine("b").run("audit", "destination").code == 0)
            let known = try await pipeline.machine("b").run("status", "--json").json()["spool"]?["remote"]
            #expect(known?["unsaved"] == false && known?["copy"]?.stringValue?.isEmpty == false)
            let checked = try await pipeline.machine("b").run("check", "--json")
            let findings = try checked.json()["findings"]?.arrayValue ?? []
            #expect(checked.code == 0, "\(checked.output)")
            #expect(findings.contains { $0["subject"] == "spool.remote" && $0["level"] == "ok" }, "\(checked.output)")
            if pipeline.place.google != nil { #expect(try pipeline.objects().others.isEmpty) }
        }
    }

    @Test func `what a lost machine sent and did not save is found, inside and outside of the window`() async throws {
        for isInside in [true, false] {
            try await RemotePipeline.with { pipeline in
                try pipeline.write(30)
                #expect(try await pipeline.machine().run("extract").code == 0)
                // Dead in the middle of shipping, with some rows delivered, and its disk with it.
                let killed = try await pipeline.machine(crashAt: "answer.before:2").run("ship", "--settle", "0s")
                #expect(killed.signal == SIGKILL)
                pipeline.loseDisk()
                if !isInside { await pipeline.leaveWindow() }
                let refused = try await pipeline.machine().run("ship", "--settle", "0s", "--json")
                #expect(refused.code == 75, "its lock is not free yet")
                #expect(try refused.json()["error"]?["code"] == "busy")
                #expect(refused.diagnostics.contains("etlctl ship, process"))
                pipeline.leaveLease()
                try await pipeline.finish()
            }
        }
    }

    @Test func `rows are not sent before they are saved`() async throws {
        try await RemotePipeline.with { pipeline in
            let google = try #require(pipeline.place.google)
            try pipeline.write(30)
            #expect(try await pipeline.machine().run("extract").code == 0)
            try pipeline.write(20)
            // From here on no copy gets through, while the lock does.
            google.spoil { _, method, name in method == "POST" && name.hasPrefix("etl/copy-") ? .refuse(503) : nil }
            let extracted = try await pipeline.machine().run("extract", "--json")
            #expect(extracted.code == 75, "\(extracted.diagnostics)")
            #expect(extracted.diagnostics.contains("not yet in gs://"))
            #expect(try extracted.json()["streams"]?.arrayValue?.first?["rows_spooled"]?.intValue == 20)
            let shipped = try await pipeline.machine().run("ship", "--settle", "0s", "--json")
            #expect(shipped.code == 75, "\(shipped.diagnostics)")
            let summary = try shipped.json()["streams"]?.arrayValue?.first
            #expect(summary?["delivered"]?.intValue == 30 && summary?["pending"]?.intValue == 20)
            #expect(try pipeline.sandbox.state.rowCount(of: "p.d.lines") == 30)
            // What was not saved was not sent either: the next machine reads it again.
            pipeline.loseDisk()
            google.spoil(nil)
            await pipeline.leaveWindow()
            try await pipeline.finish("b")
        }
    }

    @Test func `one machine at a time: the other one is told who it is`() async throws {
        try await RemotePipeline.with { pipeline in
            try pipeline.write(10)
            #expect(try await pipeline.machine().run("extract").code == 0)
            let following = try pipeline.machine().start(["ship", "--follow", "--settle", "0s"])
            #expect(await eventually { (try? pipeline.sandbox.state.rowCount(of: "p.d.lines")) == 10 })
            let other = try await pipeline.machine("b").run("extract")
            #expect(other.code == 75)
            #expect(other.diagnostics.contains("etlctl ship, process"), "\(other.diagnostics)")
            #expect(!FileManager.default.fileExists(atPath: pipeline.disk("b") + "/spool.sqlite"))
            // A second process of the same machine joins.
            try pipeline.write(10)
            let joined = try await pipeline.machine().run("extract")
            #expect(joined.code == 0, "\(joined.diagnostics)")
            #expect(await eventually { (try? pipeline.sandbox.state.rowCount(of: "p.d.lines")) == 20 })
            following.send(SIGTERM)
            let ended = await following.wait()
            #expect(ended.code == 143, "\(ended.diagnostics)")
            let after = try await pipeline.machine("b").run("extract")
            #expect(after.code == 0, "\(after.diagnostics)")
            try await pipeline.compare("b")
        }
    }

    @Test func `a lock that another one has taken ends the command, which saves nothing any more`() async throws {
        try await RemotePipeline.with { pipeline in
            let google = try #require(pipeline.place.google)
            try pipeline.write(10)
            let following = try pipeline.machine(lease: 20).start(["run", "--every", "200ms", "--settle", "0s"])
            #expect(await eventually { (try? pipeline.sandbox.state.rowCount(of: "p.d.lines")) == 10 })
            // Between two writes of the program.
            google.replace("etl/etlctl-spool.json") { bytes in
                let text = String(decoding: bytes, as: UTF8.self)
                guard let lock = text.firstRange(of: "\"lock\":{\"id\":\"") else { return bytes }
                return Array(
                    (text[..<lock.upperBound] + "other\",\"holder\":\"another machine\"}}").utf8)
            }
            try pipeline.write(10)
            let taken = google.objects["etl/etlctl-spool.json"]
            let ended = await following.wait()
            #expect(ended.code == 75, "\(ended.diagnostics)")
            #expect(ended.diagnostics.contains("was lost: another machine has it now"), "\(ended.diagnostics)")
            #expect(google.objects["etl/etlctl-spool.json"] == taken)
        }
    }

    @Test func `a machine that slept for longer than its lease stops, and the two go different ways`() async throws {
        try await RemotePipeline.with { pipeline in
            try pipeline.write(10)
            #expect(try await pipeline.machine().run("extract").code == 0)
            let following = try pipeline.machine(lease: 8).start(["run", "--every", "1h", "--settle", "0s"])
            #expect(await eventually { (try? pipeline.sandbox.state.rowCount(of: "p.d.lines")) == 10 })
            // Asleep for longer than its lease; another machine goes on.
            following.send(SIGSTOP)
            pipeline.place.google?.advanceClock(by: 121)
            try pipeline.write(10)
            let other = try await pipeline.machine("b").run("run", "--settle", "0s")
            #expect(other.code == 0, "\(other.diagnostics)")
            following.send(SIGCONT)
            let ended = await following.wait()
            #expect(ended.code == 75, "\(ended.diagnostics)")
            #expect(ended.diagnostics.contains("lock of the spool kept in"), "\(ended.diagnostics)")
            let state = try pipeline.objects().state
            #expect(state["copy"]?["saved_by"]?.stringValue?.contains("etlctl run") == true)
            // The two have gone different ways: neither is touched.
            let before = pipeline.place.google?.objects
            let refused = try await pipeline.machine().run("ship", "--json")
            #expect(refused.code == 78, "\(refused.diagnostics)")
            #expect(refused.diagnostics.contains("different ways"))
            #expect(pipeline.place.google?.objects == before)
            // As the message says.
            pipeline.loseDisk()
            await pipeline.leaveWindow()
            try await pipeline.finish()
        }
    }

    @Test func `a killed process of the same spool holds nobody up, one of another machine for its lease`() async throws
    {
        try await RemotePipeline.with { pipeline in
            try pipeline.write(10)
            let killed = try await pipeline.machine(crashAt: "remote.save.before:1").run("extract")
            #expect(killed.signal == SIGKILL)
            #expect(try await pipeline.machine("b").run("extract").code == 75)
            let again = try await pipeline.machine().run("extract")
            #expect(again.code == 0, "\(again.diagnostics)")
            #expect(try pipeline.objects().others.isEmpty, "parts of the copy that was cut off")
            try await pipeline.finish()
        }
    }

    @Test func `the lock is renewed while a copy is uploaded or downloaded for longer than the lease`() async throws {
        for isRestore in [false, true] {
            try await RemotePipeline.with { pipeline in
                let google = try #require(pipeline.place.google)
                try pipeline.write(10)
                if isRestore {
                    #expect(try await pipeline.machine().run("extract").code == 0)
                    pipeline.loseDisk()
                }
                google.spoil { _, _, name in name.hasPrefix("etl/copy-") ? .slow(isRestore ? 12 : 24) : nil }
                let slow = try pipeline.machine(lease: 15).start(["extract"])
                // The file is there, the lease is over: only renewals keep the lock.
                #expect(await eventually { FileManager.default.fileExists(atPath: pipeline.copyOnTheWay()) })
                try await Task.sleep(for: .seconds(18))
                let other = try await pipeline.machine("b").run("extract")
                #expect(
                    other.code == 75 && other.diagnostics.contains("works with the spool kept in"),
                    "\(other.diagnostics)")
                google.spoil(nil)
                let ended = await slow.wait()
                #expect(ended.code == 0, "\(isRestore) \(ended.diagnostics)")
                try await pipeline.finish()
            }
        }
    }

    @Test func `what was changed while no copy was configured is saved when one is again`() async throws {
        try await RemotePipeline.with { pipeline in
            try pipeline.write(10)
            #expect(try await pipeline.machine().run("extract").code == 0)
            let path = pipeline.machine().folder + "/etl.yaml"
            let text = try String(contentsOfFile: path, encoding: .utf8)
            try text.replacing(", remote: \"\(pipeline.place.url)\"", with: "").write(
                toFile: path, atomically: true, encoding: .utf8)
            try pipeline.write(10)
            #expect(try await pipeline.machine().run("extract").code == 0)
            try text.write(toFile: path, atomically: true, encoding: .utf8)
            let shipped = try await pipeline.machine().run("ship", "--settle", "0s")
            #expect(shipped.code == 0, "\(shipped.diagnostics)")
            try await pipeline.compare()
        }
    }

    @Test func `a machine that comes back after another restored its copy asks before it sends`() async throws {
        try await RemotePipeline.with { pipeline in
            try pipeline.write(30)
            #expect(try await pipeline.machine().run("extract").code == 0)
            // b sends them all (a restored copy makes one request of them), and is lost before it saves.
            let killed = try await pipeline.machine("b", crashAt: "answer.before:1").run("ship", "--settle", "0s")
            #expect(killed.signal == SIGKILL)
            pipeline.loseDisk("b")
            await pipeline.leaveWindow()
            pipeline.leaveLease()
            try await pipeline.finish("a")
        }
    }

    @Test func `a copy that is damaged, cut or newer is refused, and nothing is made of it`() async throws {
        try await RemotePipeline.with { pipeline in
            let google = try #require(pipeline.place.google)
            try pipeline.write(50)
            #expect(try await pipeline.machine().run("extract").code == 0)
            let objects = google.objects
            let part = try #require(objects.keys.first { $0.hasPrefix("etl/copy-") })
            let whole = try #require(objects[part])
            var flipped = whole
            flipped[whole.count / 2] ^= 1
            let state = "etl/etlctl-spool.json"
            let text = String(decoding: try #require(objects[state]), as: UTF8.self)
            let wrong: [(String, [UInt8]?, String)] = [
                (part, flipped, "can't be used"), (part, nil, "is missing"),
                (part, Array(whole.dropLast(9)), "can't be used"), (part, whole + [0], "can't be used"),
                (state, Array(text.replacing("\"version\":1", with: "\"version\":2").utf8), "newer etlctl"),
                (state, Array("{}".utf8), "no JSON object of etlctl's"), (state, [], "no JSON object of etlctl's"),
                (state, Array(text.replacing("\"parts\":1", with: "\"parts\":-1").utf8), "names no copy"),
            ]
            for (name, bytes, word) in wrong {
                google.set(name, bytes)
                pipeline.loseDisk()
                let outcome = try await pipeline.machine().run("extract", "--json")
                #expect(outcome.code == 74, "\(word): \(outcome.diagnostics)")
                #expect(outcome.diagnostics.contains(word), "\(outcome.diagnostics)")
                #expect(!FileManager.default.fileExists(atPath: pipeline.disk() + "/spool.sqlite"))
                google.set(name, objects[name])
            }
            try await pipeline.finish()
        }
    }

    @Test func `what the store refuses is told with its code`() async throws {
        for (status, code) in [(403, Int32(77)), (401, 77), (503, 75), (404, 78)] {
            try await RemotePipeline.with { pipeline in
                pipeline.place.google?.spoil { _, method, _ in status == 404 && method == "GET" ? nil : .refuse(status)
                }
                try pipeline.write(3)
                let outcome = try await pipeline.machine().run("extract", "--json")
                #expect(outcome.code == code, "\(status): \(outcome.diagnostics)")
                #expect(!outcome.diagnostics.contains("source's"), "\(outcome.diagnostics)")
                let checked = try await pipeline.machine().run("check")
                #expect(checked.code == code, "\(status): \(checked.output)")
            }
        }
    }

    @Test func `a spool that was there before is saved as it is`() async throws {
        try await RemotePipeline.with { pipeline in
            let path = pipeline.machine().folder + "/etl.yaml"
            let text = try String(contentsOfFile: path, encoding: .utf8)
            try text.replacing(", remote: \"\(pipeline.place.url)\"", with: "").write(
                toFile: path, atomically: true, encoding: .utf8)
            try pipeline.write(20)
            #expect(try await pipeline.machine().run("extract").code == 0)
            try text.write(toFile: path, atomically: true, encoding: .utf8)
            let shipped = try await pipeline.machine().run("ship", "--settle", "0s")
            #expect(shipped.code == 0, "\(shipped.diagnostics)")
            pipeline.loseDisk()
            await pipeline.leaveWindow()
            try await pipeline.finish()
            // A command that changes nothing uploads nothing.
            let before = try pipeline.objects().state["copy"]
            #expect(try await pipeline.machine().run("ship").code == 0)
            #expect(try pipeline.objects().state["copy"] == before)
        }
    }
}
