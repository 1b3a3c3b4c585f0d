import Foundation
import GRDB
import TestSupport
import Testing

@testable import Spool

@Suite struct MaintenanceTests {
    @Test func `a backup holds what was committed, is the owner's alone, and starts in doubt`() async throws {
        try await withTemporarySpool { spool in
            let route = try await spool.spool(0..<1200)
            let rows = try await spool.rowIDs(.all(route: route.number))
            let requests = try await spool.begin([
                NewRequest(route: route.number, rows: .range(first: rows[0], last: rows[99], count: 100), bytes: 1),
                NewRequest(route: route.number, rows: .range(first: rows[100], last: rows[149], count: 50), bytes: 1),
            ])
            var answer = Settlement(requests[0], rest: .delivered)
            answer.exceptions = [
                RowSettlement(rows[5], .pending(reason: "x", message: "", counts: true, transient: false)),
                RowSettlement(rows[6], .rejected(reason: "invalid", message: "")),
            ]
            try await spool.settle([answer])
            let target = spool.path + ".backup"
            try await spool.backup(to: target)
            let permissions = try FileManager.default.attributesOfItem(atPath: target)[.posixPermissions] as? NSNumber
            #expect(permissions?.intValue == 0o600)
            #expect(!FileManager.default.fileExists(atPath: target + ".partial"))
            #expect(try await spool.ledger().first?.pending == 1051, "the original goes on as it was")

            let restored = try SpoolStore(path: target, creating: false)
            let entry = try #require(try await restored.ledger().first)
            #expect(entry.inDoubt == 1101 && entry.delivered == 98 && entry.rejected == 1 && entry.isBalanced)
            let doubtful = try await restored.requests(of: route, in: [.inDoubt])
            #expect(doubtful.allSatisfy { $0.doubt == .unknown && $0.unknownSince != nil && $0.rows <= 500 })
            #expect(try await restored.rowIDs(.fresh(route: route.number, after: nil)).isEmpty)
            try await expectSoundBooks(restored, route)
            // Opened again it is a spool like any other: what came since is pending.
            try await restored.spool(2000..<2003)
            try restored.close()
            let again = try SpoolStore(path: target)
            #expect(try await again.ledger().first?.pending == 3)
            try again.close()
        }
    }

    @Test func `a backup never replaces a file`() async throws {
        try await withTemporarySpool { spool in
            try await spool.spool(0..<3)
            for target in [spool.path, spool.path + ".ship.lock"] {
                _ = FileManager.default.createFile(atPath: spool.path + ".ship.lock", contents: Data("x".utf8))
                await #expect {
                    try await spool.backup(to: target)
                } throws: {
                    guard case SpoolError.unusable(target, _) = $0 else { return false }
                    return true
                }
            }
            #expect(try await spool.ledger().first?.pending == 3)
            await #expect(throws: SpoolError.self) { try await spool.backup(to: "/nowhere/at/all") }
        }
    }

    @Test func `a backup can be made while rows are spooled`() async throws {
        try await withTemporarySpool { spool in
            let run = try await spool.beginTestRun()
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask {
                    for page in 0..<40 {
                        try await spool.append(
                            PageCommit(run: run, rows: RowBatch((page * 50..<(page + 1) * 50).map { TestRow($0) })))
                    }
                }
                group.addTask {
                    for number in 0..<5 { try await spool.backup(to: spool.path + ".\(number)") }
                }
                try await group.waitForAll()
            }
            for number in 0..<5 {
                let copy = try SpoolStore(path: spool.path + ".\(number)")
                let entry = try #require(try await copy.ledger().first)
                #expect(entry.spooled % 50 == 0 && entry.inDoubt == entry.spooled)
                try await expectSoundBooks(copy, entry.route)
                try copy.close()
            }
        }
    }

    @Test func `compacting gives room back and changes nothing else`() async throws {
        try await withTemporarySpool { spool in
            let route = try await spool.spool(0..<5000, bytes: 300)
            try await spool.settle(
                try await spool.beginAll(of: route).dropLast().map { Settlement($0, rest: .delivered) })
            try await spool.retire(deliveredBefore: .maximum)
            let rows = try await spool.records().map { "\($0.row.rawValue) \($0.state) \($0.insertID)" }
            let (before, after) = try await spool.compact()
            #expect(after < before / 3)
            let size = try FileManager.default.attributesOfItem(atPath: spool.path)[.size] as? NSNumber
            #expect(size?.int64Value == after)
            #expect(try await spool.records().map { "\($0.row.rawValue) \($0.state) \($0.insertID)" } == rows)
            try await expectSoundBooks(spool, route)
        }
    }
}
