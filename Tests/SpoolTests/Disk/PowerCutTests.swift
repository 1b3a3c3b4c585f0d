import Foundation
import GRDB
import TestSupport
import Testing

@testable import Spool

/// The power fails at any moment: what a method reported as done is there, and what it had not reported is there whole or not at all.
@Suite(.serialized) struct PowerCutTests {
    private struct Recording {
        var operations: [WatchedDisk.Operation]
        /// The spool's contents after each mark.
        var contents: [String]
    }

    /// Runs the script on a disk that keeps a record, with checkpoints, closings and openings in between.
    private static func record(synchronous: String?) async throws -> Recording {
        try await withTemporaryFolder { folder in
            let disk = WatchedDisk(folder, isRecording: true)
            defer { disk.stopWatching() }
            let script = SpoolScript(pages: 6, rowsAPage: 9)
            var contents: [String] = []
            var isDone = false
            while !isDone {
                let spool = try SpoolStore(path: folder + "/spool.sqlite")
                try await spool.writeWithoutTransaction { database in
                    // Small, so that the log begins anew again and again.
                    try database.execute(sql: "PRAGMA wal_autocheckpoint = 25")
                    if let synchronous { try database.execute(sql: "PRAGMA synchronous = \(synchronous)") }
                }
                for _ in 0..<20 where !isDone {
                    isDone = try await !script.step(spool)
                    contents.append(try await spool.contents())
                    disk.mark(contents.count - 1)
                }
                try spool.close()
            }
            return Recording(operations: disk.operations, contents: contents)
        }
    }

    /// Cuts the power after so many operations and opens what is left; nil if that is what it must be.
    private static func cut(
        _ recording: Recording, after count: Int, _ rest: PowerCut.Rest, _ random: inout SeededGenerator
    ) async throws -> String? {
        let cut = PowerCut(after: recording.operations.prefix(count))
        // What the test prepares, its choices and where they stand, must not be captured by the closure that runs elsewhere.
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("etlctl-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try cut.restore(to: folder, rest, &random)
        do {
            let spool = try SpoolStore(path: folder + "/spool.sqlite")
            defer { try? spool.close() }
            if let problem = try await spool.problems().first { return "\(problem)" }
            let contents = try await spool.contents()
            let last = cut.lastMark
            if last < 0 {
                return contents.allSatisfy(\.isNewline) || contents == recording.contents[0] ? nil : contents
            }
            if contents == recording.contents[last] { return nil }
            if last + 1 < recording.contents.count, contents == recording.contents[last + 1] { return nil }
            return "not what was there after step \(last), nor after the next:\n\(contents)"
        } catch {
            return "\(error)"
        }
    }

    @Test(arguments: PowerCut.Rest.allCases)
    func `what was reported as done survives a power cut at any moment`(rest: PowerCut.Rest) async throws {
        let recording = try await Self.record(synchronous: nil)
        #expect(recording.contents.count > 25)
        let seed = UInt64.random(in: 0...9999)
        var random = SeededGenerator(seed: seed)
        for _ in 0..<10 {
            let moment = Int.random(in: 0...recording.operations.count, using: &random)
            let problem = try await Self.cut(recording, after: moment, rest, &random)
            #expect(problem == nil, "seed \(seed), after \(moment) of \(recording.operations.count) operations")
        }
    }

    @Test func `a power cut right after each report loses nothing of it`() async throws {
        let recording = try await Self.record(synchronous: nil)
        var random = SeededGenerator(seed: 5)
        for (index, operation) in recording.operations.enumerated() {
            guard case .mark = operation else { continue }
            #expect(try await Self.cut(recording, after: index + 1, .nothing, &random) == nil, "after \(index + 1)")
        }
    }

    /// Otherwise the tests above would prove nothing.
    @Test func `without FULL this disk loses what was reported as done`() async throws {
        let recording = try await Self.record(synchronous: "NORMAL")
        var random = SeededGenerator(seed: 5)
        var lost = 0
        for (index, operation) in recording.operations.enumerated() {
            guard case .mark(let number) = operation, number.isMultiple(of: 3) else { continue }
            if try await Self.cut(recording, after: index + 1, .nothing, &random) != nil { lost += 1 }
        }
        #expect(lost > 2)
    }
}
