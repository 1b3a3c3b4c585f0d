import Foundation
import GRDB
import TestSupport
import Testing

@testable import Spool

@Suite struct DamageTests {
    private let check: PayloadCheck = { payload, insertID in
        String(decoding: payload, as: UTF8.self).contains(String(decoding: insertID, as: UTF8.self))
    }

    /// A closed spool with rows of two streams in every state, and how its rows were.
    private static func make(_ path: String) async throws -> [Int64: RowRecord] {
        let spool = try SpoolStore(path: path)
        for name in ["memos", "orders"] {
            let route = try await spool.spool(0..<120, to: .memos(name), bytes: 150, run: "\(name)-1")
            let requests = try await spool.beginAll(of: route, size: 20)
            let rows = try await spool.rowIDs(.all(route: route.number))
            var first = Settlement(requests[0], rest: .delivered)
            first.exceptions = rows[5..<10].map { RowSettlement($0, .rejected(reason: "invalid", message: "no")) }
            first.exceptions += rows[10..<13].map {
                RowSettlement($0, .pending(reason: "backendError", message: "", counts: true, transient: true))
            }
            first.exceptions += rows[13..<15].map { RowSettlement($0, .inDoubt(.settling)) }
            try await spool.settle([
                first, Settlement(requests[1], rest: .inDoubt(.unknown)), Settlement(requests[2], rest: .pending),
                Settlement(requests[3], rest: .delivered),
            ])
            try await spool.spool(200..<260, to: .memos(name), bytes: 150, run: "\(name)-2")
            var filter = RowFilter()
            filter.insertID = TestRow(230, stream: name).insertID
            #expect(try await spool.discard(filter, why: "so") == 1)
        }
        let records = try await spool.records()
        try spool.close()
        return Dictionary(uniqueKeysWithValues: records.map { ($0.row.rawValue, $0) })
    }

    private func change(_ path: String, _ body: (inout Data) -> Void) throws {
        var data = try Data(contentsOf: URL(fileURLWithPath: path))
        body(&data)
        let handle = try FileHandle(forWritingTo: URL(fileURLWithPath: path))
        try handle.truncate(atOffset: 0)
        try handle.write(contentsOf: data)
        try handle.close()
    }

    @Test func `a sound spool is said to be sound and left as it is`() async throws {
        try await withTemporaryFolder { folder in
            let path = folder + "/spool.sqlite"
            _ = try await Self.make(path)
            let before = try Data(contentsOf: URL(fileURLWithPath: path))
            #expect(try await SpoolStore.verify(path: path, payloadMatches: check).isSound)
            #expect(try await SpoolStore.quarantine(path: path, holder: "test", payloadMatches: check).keptAs == nil)
            #expect(try Data(contentsOf: URL(fileURLWithPath: path)) == before)
        }
    }

    @Test func `altered rows are named by stream and range, and set aside in the file itself`() async throws {
        try await withTemporaryFolder { folder in
            let path = folder + "/spool.sqlite"
            let before = try await Self.make(path)
            // One byte each in five rows of one stream: delivered, in doubt, two never claimed, one discarded.
            try change(path) { data in
                for number in [1, 21, 210, 211, 230] {
                    let title = Data(#""title":"Memo \#(number)xx"#.utf8)
                    if let place = data.range(of: title) { data[place.lowerBound + 9] ^= 0x20 }
                }
            }
            let damage = try await SpoolStore.verify(path: path, payloadMatches: check)
            #expect(damage.file.isEmpty)
            #expect(damage.rows.map(\.kind) == [.altered, .altered, .altered, .altered])
            #expect(Set(damage.rows.map(\.stream)).count == 1)
            let concerned = before.filter { $0.value.stream == damage.rows[0].stream }.keys.min()
            let first = try #require(concerned)
            #expect(damage.rows.map { $0.first.rawValue - first } == [1, 21, 130, 150])
            #expect(damage.rows.map { $0.last.rawValue - first } == [1, 21, 131, 150])

            let result = try await SpoolStore.quarantine(path: path, holder: "test", payloadMatches: check)
            #expect(result.keptAs == nil && result.rejected == 3 && result.settled == 2)
            let after = try await SpoolStore.verify(path: path, payloadMatches: check)
            #expect(after.isSound && after.quarantined == 5)
            let spool = try SpoolStore(path: path)
            for route in try await spool.routes() {
                for found in try await spool.audit(route, payloadMatches: check) { #expect(found.isOK, "\(found)") }
            }
            var filter = RowFilter()
            filter.reason = "damaged"
            #expect(try await spool.records(filter).map(\.state) == [.rejected, .rejected, .rejected])
            try spool.close()
        }
    }

    @Test func `a glance sees a file cut short, and pages that don't fit together`() async throws {
        try await withTemporaryFolder { folder in
            let path = folder + "/spool.sqlite"
            _ = try await Self.make(path)
            func glance(_ change: (inout Data) -> Void) async throws -> String? {
                let copy = folder + "/\(UUID().uuidString).sqlite"
                try FileManager.default.copyItem(atPath: path, toPath: copy)
                try self.change(copy, change)
                if let missing = SpoolStore.missingEnd(of: copy) { return missing }
                let spool = try SpoolStore(path: copy, creating: false)
                defer { try? spool.close() }
                return try await spool.glance()
            }
            let whole = try await glance { _ in }
            let short = try await glance { $0.removeLast(100) }
            let torn = try await glance { data in
                let page = data.count / 2 / SpoolStore.pageSize * SpoolStore.pageSize
                data.replaceSubrange(page..<page + 200, with: Data(count: 200))
            }
            #expect(whole == nil)
            #expect(short?.contains("its header says") == true, "\(short ?? "nothing")")
            #expect(torn != nil)
        }
    }

    @Test func `a glance at a spool that is being written to finds nothing`() async throws {
        try await withTemporarySpool { spool in
            for number in 0..<5 {
                try await spool.spool(number * 500..<(number + 1) * 500, bytes: 200)
                #expect(try await spool.glance() == nil)
                #expect(SpoolStore.missingEnd(of: spool.path) == nil)
            }
        }
    }

    @Test func `quarantine waits for no one and takes no one's rows away`() async throws {
        try await withTemporaryFolder { folder in
            let path = folder + "/spool.sqlite"
            _ = try await Self.make(path)
            try change(path) { $0.removeLast($0.count / 3) }
            let lock = try SpoolLock(path: path + ".ship.lock", holder: "etlctl ship")
            await #expect {
                _ = try await SpoolStore.quarantine(path: path, holder: "test", payloadMatches: check)
            } throws: {
                guard case SpoolError.locked(_, "etlctl ship") = $0 else { return false }
                return true
            }
            withExtendedLifetime(lock) {}
        }
    }

    private enum Harm: String, CaseIterable { case garbage, zeroes, flippedBits, truncated, shuffled }

    /// `SPOOL_DAMAGE_SEEDS=0-999` tries others.
    private static var seeds: [UInt64] {
        let ends = (ProcessInfo.processInfo.environment["SPOOL_DAMAGE_SEEDS"] ?? "").split(separator: "-")
            .compactMap { UInt64($0) }
        // The last one hid a stream's rows behind a misplaced page of another's.
        return ends.count == 2 ? Array(ends[0]...ends[1]) : Array(0...39) + [89]
    }

    /// Whatever happens to the pages of a spool: either it can't be read at all, or after quarantine its books are sound, every row that can
    /// still be read is there with its bytes, none became delivered that was not, and the rest is accounted for.
    @Test func `what is left of a damaged file stays deliverable`() async throws {
        var outcomes: [String: Int] = [:]
        try await withTemporaryFolder { folder in
            let original = folder + "/original.sqlite"
            let before = try await Self.make(original)
            for seed in Self.seeds {
                let path = folder + "/spool-\(seed).sqlite"
                try FileManager.default.copyItem(atPath: original, toPath: path)
                var random = SeededGenerator(seed: seed)
                let harm = Harm.allCases.randomElement(using: &random) ?? .garbage
                try harmPages(path, harm, &random)
                let comment = Comment("seed \(seed), \(harm.rawValue)")
                let outcome = try await quarantineAndCheck(path, before, comment)
                outcomes[outcome, default: 0] += 1
            }
        }
        if Self.seeds.count >= 40 { #expect((outcomes["salvaged"] ?? 0) > 15, "\(outcomes)") }
    }

    private func harmPages(_ path: String, _ harm: Harm, _ random: inout SeededGenerator) throws {
        let size = SpoolStore.pageSize
        let pages = try Data(contentsOf: URL(fileURLWithPath: path)).count / size
        let chosen = (0..<Int.random(in: 1...3, using: &random)).map { _ in Int.random(in: 1..<pages, using: &random) }
        var bytes = random
        try change(path) { data in
            switch harm {
            case .truncated:
                // Also in the middle of a page, whose rows at its end are lost then.
                let rest = bytes.isOnce(of: 2) ? size / 2 : 0
                data.removeLast(data.count - max(chosen[0], pages / 2) * size - rest)
            case .shuffled:
                let last = data.subdata(in: (pages - 1) * size..<pages * size)
                data.replaceSubrange(chosen[0] * size..<(chosen[0] + 1) * size, with: last)
            case .garbage, .zeroes, .flippedBits:
                for page in chosen {
                    for offset in page * size..<(page + 1) * size {
                        switch harm {
                        case .garbage: data[offset] = UInt8.random(in: 0...255, using: &bytes)
                        case .zeroes: data[offset] = 0
                        default:
                            if bytes.isOnce(of: 400) {
                                data[offset] ^= UInt8(1) << UInt8.random(in: 0..<8, using: &bytes)
                            }
                        }
                    }
                }
            }
        }
    }

    private func quarantineAndCheck(
        _ path: String, _ before: [Int64: RowRecord], _ comment: Comment
    ) async throws -> String {
        let result: Quarantine
        do {
            result = try await SpoolStore.quarantine(path: path, holder: "test", payloadMatches: check)
        } catch let error as SpoolError {
            guard case .damaged = error else {
                Issue.record("\(comment): \(error)")
                return "failed"
            }
            return "not readable"
        }
        if let kept = result.keptAs { #expect(FileManager.default.fileExists(atPath: kept), comment) }
        let after = try await SpoolStore.verify(path: path, payloadMatches: check)
        #expect(after.isSound, "\(comment): \(after)")
        let spool = try SpoolStore(path: path)
        for route in try await spool.routes() {
            for found in try await spool.audit(route, payloadMatches: check) where !found.isOK {
                Issue.record("\(comment): \(found), \(result)")
            }
        }
        #expect(try await spool.ledger().map(\.spooled) == [180, 180], comment)
        let records = try await spool.records()
        let aside = try await spool.read { Set(try Int64.fetchAll($0, sql: "SELECT row_id FROM quarantined_rows")) }
        let named = result.damage.rows.map { $0.first.rawValue...$0.last.rawValue }
        let unnamed = aside.filter { row in !named.contains { $0.contains(row) } }
        // A file whose list of columns is a page of rows has each row intact, and none that can be sent.
        let hasColumns = !result.damage.file.contains { $0.contains("shapes.definition") }
        #expect(unnamed.isEmpty || !hasColumns, "\(comment): \(result)")
        for record in records {
            guard let old = before[record.row.rawValue] else {
                Issue.record("\(comment): row \(record.row.rawValue) came from nowhere")
                continue
            }
            if !aside.contains(record.row.rawValue) {
                #expect(record.payload == old.payload && record.insertID == old.insertID, comment)
            }
            if record.state == .delivered { #expect(old.state == .delivered, comment) }
            if old.state == .rejected { #expect(record.state != .pending && record.state != .delivered, comment) }
        }
        // What is gone altogether had been delivered.
        let present = Set(records.map(\.row.rawValue))
        for (row, old) in before where !present.contains(row) {
            #expect(old.state == .delivered, "\(comment), row \(row): \(result)")
        }
        try spool.close()
        return result.damage.isSound ? "sound" : result.keptAs == nil ? "set aside" : "salvaged"
    }

    @Test func `no table is forgotten when a spool is salvaged`() async throws {
        try await withTemporarySpool { spool in
            let tables = try await spool.read {
                try String.fetchAll($0, sql: "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
            }
            #expect((Salvage.numbered + Salvage.keyed).map(\.0).sorted() == tables)
        }
    }

    @Test func `a lost shared-memory file is made again`() async throws {
        try await withTemporarySpool { spool in
            try await spool.spool(0..<5)
            // What a kill leaves: the file and its WAL, here without the -shm.
            let copy = spool.path + ".copy"
            for suffix in ["", "-wal"] {
                try FileManager.default.copyItem(atPath: spool.path + suffix, toPath: copy + suffix)
            }
            let again = try SpoolStore(path: copy, creating: false)
            #expect(try await again.ledger().first?.pending == 5)
            try await expectSoundBooks(again, try await again.route(1))
            try again.close()
        }
    }

    @Test func `a file that is no spool can't be verified as one`() async throws {
        try await withTemporaryFolder { folder in
            let path = folder + "/other.sqlite"
            let other = try DatabaseQueue(path: path)
            try await other.write { try $0.execute(sql: "CREATE TABLE a (b)") }
            try other.close()
            try Data("no database at all".utf8).write(to: URL(fileURLWithPath: folder + "/text"))
            try Data().write(to: URL(fileURLWithPath: folder + "/empty"))
            for name in ["other.sqlite", "text", "empty", "missing"] {
                await #expect(throws: SpoolError.self, "\(name)") {
                    _ = try await SpoolStore.verify(path: folder + "/" + name, payloadMatches: check)
                }
            }
        }
    }
}
