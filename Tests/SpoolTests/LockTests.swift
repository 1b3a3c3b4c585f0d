import Foundation
import TestSupport
import Testing

@testable import Spool

@Suite struct LockTests {
    @Test func `a second shipper is told who the first one is`() async throws {
        try await withTemporarySpool { spool in
            var first: SpoolLock? = try spool.lockShipper(holder: "etlctl ship, process 4711")
            #expect {
                _ = try spool.lockShipper(holder: "another")
            } throws: {
                guard case SpoolError.locked(_, "etlctl ship, process 4711") = $0 else { return false }
                return true
            }
            withExtendedLifetime(first) {}
            first = nil
            let second = try spool.lockShipper(holder: "another")
            withExtendedLifetime(second) {}
        }
    }

    @Test func `streams are locked each for itself, whatever their names`() async throws {
        try await withTemporarySpool { spool in
            let long = String(repeating: "ü", count: 300)
            let names = ["memos", "Memos", "me mos", "me_mos", "me/mos", "", "\t5", "_", long, long + "x"]
            let locks = try names.map { try spool.lockExtractor(of: $0, holder: $0) }
            for name in names {
                #expect(throws: SpoolError.self, "\(name)") { try spool.lockExtractor(of: name, holder: "second") }
            }
            withExtendedLifetime(locks) {}
        }
    }

    @Test func `a spool under another name has the same locks`() async throws {
        try await withTemporarySpool { spool in
            let link = spool.path + ".link"
            try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: spool.path)
            let other = try SpoolStore(path: link)
            let lock = try spool.lockShipper(holder: "first")
            #expect(throws: SpoolError.self) { try other.lockShipper(holder: "second") }
            withExtendedLifetime(lock) {}
            try other.close()
        }
    }

    @Test func `a process that is killed leaves no lock behind, only its file`() async throws {
        try await withTemporarySpool { spool in
            let path = spool.path + ".ship.lock"
            #expect(FileManager.default.createFile(atPath: path, contents: Data("etlctl ship, process 1\n".utf8)))
            // Another process takes the lock the way the kernel knows it, says so, and waits to be killed.
            let ends = try ChildProcess.connectedEnds()
            defer { close(ends.ours) }
            let holder = try ChildProcess.start(
                ["flock", "--exclusive", "--no-fork", path, "/bin/sh", "-c", "echo held; exec sleep 600"],
                output: .descriptor(ends.theirs))
            close(ends.theirs)
            #expect(FileHandle(fileDescriptor: ends.ours).readData(ofLength: 5) == Data("held\n".utf8))
            #expect {
                _ = try spool.lockShipper(holder: "second")
            } throws: {
                guard case SpoolError.locked(path, "etlctl ship, process 1") = $0 else { return false }
                return true
            }
            holder.send(SIGKILL)
            holder.wait()
            let lock = try spool.lockShipper(holder: "third")
            withExtendedLifetime(lock) {}
        }
    }
}
