import Foundation
import TestSupport
import Testing

@testable import Spool

/// Every write, sync, truncation and removal of a file that SQLite asks for fails once, or from there on.
@Suite(.serialized) struct DiskFaultTests {
    private static let script = SpoolScript(pages: 2, rowsAPage: 8)

    /// As the program ends with 74 (`ExitStatus`).
    private static func isOfTheSpool(_ error: any Error, _ fault: WatchedDisk.Fault) -> Bool {
        switch (error as? SpoolError, fault) {
        case (.full, .full), (.unusable, .broken): true
        default: false
        }
    }

    /// Runs the script with a failing disk, mends the disk when it is stopped by it, and lets it go on. Returns whether the fault was met.
    private static func run(
        failingAt number: Int, _ fault: WatchedDisk.Fault, times: Int, reopens: Bool
    ) async throws -> Bool {
        try await withTemporaryFolder { folder in
            let disk = WatchedDisk(folder)
            defer { disk.stopWatching() }
            disk.fail(at: number, fault, times: times)
            let comment: Comment = "operation \(number), \(fault), \(times == 1 ? "once" : "from there on")"
            var spool: SpoolStore?
            var isMet = false
            for attempt in 0... {
                do {
                    let open = try spool ?? SpoolStore(path: folder + "/spool.sqlite")
                    spool = open
                    while try await script.step(open) {}
                    try open.close()
                    spool = nil
                    isMet = disk.mend() || isMet
                    break
                } catch {
                    #expect(isOfTheSpool(error, fault), "\(comment): \(error)")
                    isMet = disk.mend() || isMet
                    guard attempt == 0 else { throw error }
                    if let spool { #expect(try await spool.problems() == [], comment) }
                    if reopens {
                        try? spool?.close()
                        spool = nil
                    }
                }
            }
            let whole = try SpoolStore(path: folder + "/spool.sqlite")
            defer { try? whole.close() }
            #expect(try await whole.problems() == [], comment)
            let entry = try #require(try await whole.ledger().first)
            #expect(script.isDone(entry), "\(comment): \(entry)")
            return isMet
        }
    }

    /// A test run fails a third of the operations, in every run others; `DISK_FAULTS=every` each of them.
    private static let step = ProcessInfo.processInfo.environment["DISK_FAULTS"] == "every" ? 1 : 3

    @Test(arguments: [(.full, .max), (.broken, 1), (.full, 1), (.broken, .max)] as [(WatchedDisk.Fault, Int)])
    func `a disk that fails at any operation stops the command, leaves the spool whole, and everything is done later`(
        fault: WatchedDisk.Fault, times: Int
    ) async throws {
        // Failing once without room is made good unseen, and a broken disk stops everything at once: a few of these do.
        let isMain = (fault == .full) == (times == .max)
        let step = Self.step * (isMain ? 1 : 5)
        var number = Int.random(in: 1...step)
        var isOdd = false
        while try await Self.run(failingAt: number, fault, times: times, reopens: isOdd) {
            number += step
            isOdd.toggle()
        }
        #expect(number > 100, "the script asks for more than that")
    }
}
