import Foundation
import JSONBytes
import Sandbox
import Spool
import TestSupport
import Testing

/// Killed at each line of keeping the copy, and with each request to the store spoiled (the table of docs/remote-spool.md).
@Suite struct RemoteKillTests {
    @Test(arguments: CrashPoint.ofRemote, [true, false])
    func `a kill at each moment loses and doubles nothing, with the disk and without`(
        point: CrashPoint, keepsDisk: Bool
    ) async throws {
        try await RemotePipeline.with { pipeline in
            try pipeline.write(20)
            #expect(try await pipeline.machine().run("run", "--settle", "0s").code == 0)
            var kills = 0
            for command in [["extract"], ["ship", "--settle", "0s"], ["run", "--settle", "0s"]] {
                for nth in 1...3 {
                    try pipeline.write(15)
                    if command[0] == "ship" { #expect(try await pipeline.machine().run("extract").code == 0) }
                    // What is to be restored has to be lost.
                    if point.rawValue.contains("restore") { pipeline.loseDisk() }
                    let killed = try await pipeline.machine(crashAt: "\(point.rawValue):\(nth)").run(command)
                    guard killed.signal == SIGKILL else {
                        #expect(killed.code == 0, "\(point) \(command) \(killed.diagnostics)")
                        break
                    }
                    kills += 1
                    if !keepsDisk {
                        pipeline.loseDisk()
                        pipeline.leaveLease()
                    } else if point.rawValue.contains("restore"), point != .afterRestore {
                        #expect(!FileManager.default.fileExists(atPath: pipeline.disk() + "/spool.sqlite"))
                        pipeline.leaveLease()
                    }
                    await pipeline.leaveWindow()
                    let next = try await pipeline.machine().run("ship", "--settle", "0s")
                    #expect(next.code == 0, "\(point) \(command) \(nth) \(next.diagnostics)")
                    #expect(try pipeline.objects().others.isEmpty, "\(point) \(command) \(nth)")
                    #expect(try pipeline.objects().state["lock"] == .null)
                }
            }
            #expect(kills >= 3, "\(point)")
            try await pipeline.finish("a", "\(point)")
        }
    }

    @Test(arguments: ["500", "before", "after"])
    func `each request to the store is spoiled once, and the command gets through`(kind: String) async throws {
        let spoil: GoogleStore.Spoil = kind == "500" ? .refuse(500) : kind == "before" ? .cutBefore : .cutAfter
        try await RemotePipeline.with { pipeline in
            let google = try #require(pipeline.place.google)
            try pipeline.write(10)
            #expect(try await pipeline.machine().run("run", "--settle", "0s").code == 0)
            for nth in 1...40 {
                pipeline.loseDisk()
                try pipeline.write(3)
                google.spoil { request, _, _ in request == nth ? spoil : nil }
                let outcome = try await pipeline.machine().run("run", "--settle", "0s")
                #expect(outcome.code == 0, "\(kind) \(nth) \(outcome.diagnostics)")
                let isOver = google.requests < nth
                google.spoil(nil)
                if isOver { break }
                #expect(nth < 40)
            }
            try await pipeline.finish()
        }
    }

    @Test(arguments: ["500", "before", "after"])
    func `the store is gone from each request on: what is here stays here, and the next command goes on`(
        kind: String
    ) async throws {
        let spoil: GoogleStore.Spoil = kind == "500" ? .refuse(500) : kind == "before" ? .cutBefore : .cutAfter
        try await RemotePipeline.with { pipeline in
            let google = try #require(pipeline.place.google)
            try pipeline.write(10)
            #expect(try await pipeline.machine().run("run", "--settle", "0s").code == 0)
            var nth = 1
            while nth < 30 {
                try pipeline.write(3)
                google.spoil { [nth] request, _, _ in request >= nth ? spoil : nil }
                let outcome = try await pipeline.machine().run("extract")
                let isOver = google.requests < nth
                #expect([0, 75].contains(outcome.code), "\(kind) \(nth) \(outcome.diagnostics)")
                google.spoil(nil)
                if isOver { break }
                let shipped = try await pipeline.machine().run("ship", "--settle", "0s")
                #expect(shipped.code == 0, "\(kind) \(nth) \(shipped.diagnostics)")
                nth += 3
            }
            #expect(nth > 7)
            try await pipeline.finish()
            #expect(try pipeline.objects().others.isEmpty)
        }
    }
}
