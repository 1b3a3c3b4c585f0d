import Extract
import Foundation
import JSONBytes
import Spool
import TestSupport
import Testing

/// Runs that are cut off, budgets, positions, clocks.
@Suite(.firestoreEmulator) struct FirestoreRunTests {
    static let modes: [ReadMode] = [.full, .incremental, .changes]

    private func stream(_ mode: ReadMode, _ database: FirestoreDatabase, _ spool: SpoolStore) -> Extraction {
        Extraction(database, spool, mode: mode, watermark: mode == .incremental ? "at" : nil).withOptions {
            $0.rowsPerPage = 7
            $0.documentsPerQuery = 10
            $0.keysPerQuery = 9
            $0.documentsPerFetch = 4
        }
    }

    private func documents(_ count: Int, _ prefix: String = "m") -> [FirestoreDatabase.Write] {
        (0..<count).map { number in
            let at = Timestamp.now().advanced(by: .seconds(-7200 + number / 3)).description
            return .set(
                "memos/\(prefix)\(number)",
                ["at": .time(at), "n": .integer(Int64(number)), "f \(number % 5)": .flag(true)])
        }
    }

    @Test(arguments: modes)
    func `max_reads is never exceeded, the run id stays, and every document comes once`(_ mode: ReadMode) async throws {
        try await withDatabase { database, spool in
            try await database.write(documents(40))
            let stream = stream(mode, database, spool).with { $0.maximumReads = 12 }
            var ids: Set<String> = []
            var results: [ExtractResult] = []
            repeat {
                let result = try await stream.complete()
                #expect(result.counters.sourceReads <= 12)
                ids.insert(try #require(result.runID))
                results.append(result)
            } while results.last?.status == .interrupted && results.count < 20
            #expect(results.last?.status == .complete)
            #expect(results.count > 3)
            #expect(ids.count == 1)
            let rows = try await stream.rows()
            #expect(rows.count == 40)
            #expect(Set(rows.map(\.path)).count == 40)
            #expect(Set(rows.map(\.runID)) == ids)
        }
    }

    @Test(arguments: modes)
    func `limit interrupts with exit in order, and the next extract goes on`(_ mode: ReadMode) async throws {
        try await withDatabase { database, spool in
            try await database.write(documents(20))
            let limited = stream(mode, database, spool).withOptions { $0.limit = 8 }
            let first = try await limited.complete()
            #expect(first.status == .interrupted)
            #expect(first.counters.rowsRead == 8)
            #expect(try await limited.complete().status == .interrupted)
            #expect(try await stream(mode, database, spool).complete().status == .complete)
            let paths = try await limited.rows().map(\.path)
            #expect(paths.count == 20 && Set(paths).count == 20)
        }
    }

    @Test(arguments: modes)
    func `restart begins a new run`(_ mode: ReadMode) async throws {
        try await withDatabase { database, spool in
            try await database.write(documents(20))
            let first = try await stream(mode, database, spool).withOptions { $0.limit = 8 }.complete()
            let second = try await stream(mode, database, spool).withOptions { $0.restarts = true }.complete()
            #expect(second.runID != first.runID)
            #expect(second.status == .complete)
            // A snapshot holds every row anew under its run's ids; elsewhere no version is spooled twice.
            #expect(try await stream(mode, database, spool).rows().count == (mode == .full ? 28 : 20))
        }
    }

    /// The spool's files are copied after every commit: that is what a kill at that moment leaves behind.
    @Test(arguments: modes)
    func `a kill after any commit and a new start give the same rows as an undisturbed run`(_ mode: ReadMode)
        async throws
    {
        try await withDatabase { database, spool in
            try await database.write(documents(30))
            let original = stream(mode, database, spool)
            if mode == .changes {
                // The first run is a full read; what follows goes through scan, fetch and deletes.
                try await original.complete()
                try await database.write(documents(9, "new") + (0..<5).map { .delete("memos/m\($0)") })
            }
            try await withTemporaryFolder { folder in
                let copies = Gathered<String>()
                let result = await original.run { _ in
                    let copy = folder + "/\(copies.items.count)"
                    for ending in ["", "-wal"] {
                        try? FileManager.default.copyItem(atPath: spool.path + ending, toPath: copy + ending)
                    }
                    copies.add(copy)
                }
                #expect(result.status == .complete)
                let expected = try await original.rows()
                #expect(copies.items.count > 4)
                for copy in copies.items {
                    let left = try SpoolStore(path: copy)
                    let resumed = try await original.into(left).complete()
                    #expect(resumed.runID == result.runID)
                    let rows = try await original.into(left).rows()
                    #expect(rows.map(\.lasting) == expected.map(\.lasting))
                    #expect(try await original.into(left).complete().counters.rowsSpooled == (mode == .full ? 30 : 0))
                    try left.close()
                }
            }
        }
    }

    @Test(arguments: modes)
    func `a cancelled run is on record as interrupted and goes on`(_ mode: ReadMode) async throws {
        try await withDatabase { database, spool in
            try await database.write(documents(60))
            let stream = stream(mode, database, spool)
            let commits = Gathered<Int>()
            let task = Task {
                await stream.run { _ in
                    commits.add(1)
                    if commits.items.count == 4 { withUnsafeCurrentTask { $0?.cancel() } }
                }
            }
            let result = await task.value
            #expect(result.status == .interrupted)
            #expect(result.error is CancellationError)
            let run = try #require(try await spool.stream(named: "memos")?.unfinishedRun)
            #expect(run.status == .interrupted)
            let finished = try await stream.complete()
            #expect(finished.runID == result.runID)
            let paths = try await stream.rows().map(\.path)
            #expect(paths.count == 60 && Set(paths).count == 60)
        }
    }

    @Test(arguments: modes)
    func `a snapshot time that expired is replaced by a fresh one, and said`(_ mode: ReadMode) async throws {
        try await withDatabase { database, spool in
            try await database.write(documents(40))
            let stream = stream(mode, database, spool)
            if mode == .changes {
                try await stream.complete()
                try await database.write(documents(20, "new"))
            }
            let expired = Gathered<String>()
            try await withLoopbackServer { request in
                // The first time that is asked for expires in the middle of the run.
                let readTime = (try? JSONValue(parsing: request.body))?["readTime"]?.stringValue
                if let readTime {
                    if expired.items.isEmpty, request.text.contains("startAt") { expired.add(readTime) }
                    if expired.items.contains(readTime) {
                        return .json(
                            400,
                            #"{"error":{"code":400,"message":"The requested 'read_time' is too old.","status":"FAILED_PRECONDITION"}}"#
                        )
                    }
                }
                return HTTPProxy.forward(request, to: database.host)?.passed ?? .close
            } _: { proxy in
                let result = try await stream.behind(proxy).complete()
                #expect(result.status == .complete)
                #expect(result.warning("read_time_expired") != nil)
            }
            let paths = try await stream.rows().map(\.path)
            #expect(Set(paths).count == (mode == .changes ? 60 : 40))
            #expect(paths.count == Set(paths).count)
        }
    }

    @Test func `full is one snapshot although documents are written meanwhile`() async throws {
        try await withDatabase { database, spool in
            try await database.write(documents(100))
            let before = Set(try await database.documents(of: "memos").keys)
            let stream = stream(.full, database, spool)
            let commits = Gathered<Int>()
            try await withLoopbackServer { request in
                // Between two answers another writer adds and removes documents on both sides of the place that was reached.
                if request.text.contains("startAt") { commits.add(1) }
                return HTTPProxy.forward(request, to: database.host)?.passed ?? .close
            } _: { proxy in
                let reading = Task { await stream.behind(proxy).run() }
                for round in 0..<10 {
                    try await database.write([
                        .set("memos/a\(round)", [:]), .delete("memos/m\(round * 9)"), .set("memos/z\(round)", [:]),
                    ])
                }
                #expect(await reading.value.status == .complete)
            }
            // Whatever moment it was, all rows are of it: each write above took whole triples.
            let paths = Set(try await stream.rows().map(\.path))
            let rounds = (0..<10).filter { paths.contains("memos/a\($0)") }.count
            #expect(paths.filter { $0.hasPrefix("memos/z") }.count == rounds)
            #expect(before.subtracting(paths).count == rounds)
        }
    }

    @Test(arguments: modes)
    func `a clock a day off stops before anything is spooled`(_ mode: ReadMode) async throws {
        try await withDatabase { database, spool in
            try await database.write(documents(3))
            for days in [-2.0, 2.0] {
                let result = await stream(mode, database, spool).withOptions {
                    $0.clock = { Timestamp.now().advanced(by: .seconds(86_400 * days)) }
                }.run()
                #expect(result.kind == .configuration)
            }
            #expect(try await stream(mode, database, spool).rows().isEmpty)
        }
    }

    @Test func `extracted_at rises strictly, also when the clock stands or goes back`() async throws {
        try await withDatabase { database, spool in
            try await database.write(documents(10))
            let now = Timestamp.now()
            let stream = stream(.full, database, spool)
            try await stream.withOptions { $0.clock = { now } }.complete()
            let behind = try await stream.withOptions { $0.clock = { now.advanced(by: .seconds(-3600)) } }.complete()
            #expect(behind.warning("clock_behind") != nil)
            let times = try await stream.rows().compactMap {
                $0["_extracted_at"]?.stringValue.flatMap { Timestamp(rfc3339: $0) }
            }
            #expect(times.count == 20)
            #expect(zip(times, times.dropFirst()).allSatisfy { $0 < $1 })
            #expect(times.first == now)
        }
    }

    @Test(arguments: [ReadMode.incremental, .changes])
    func `a position that belongs to something else stops`(_ mode: ReadMode) async throws {
        try await withDatabase { database, spool in
            try await database.write(documents(3))
            let stream = stream(mode, database, spool)
            let kept = stream.request.identity
            try await stream.complete()
            let other = await stream.with { $0.identity = "something else" }.run()
            #expect((other.error as? PositionMismatch)?.kept == kept)
            #expect(try await stream.complete().status == .complete)
        }
    }

    @Test func `a changed fingerprint is a warning, once`() async throws {
        try await withDatabase { database, spool in
            try await database.write(documents(3))
            let stream = stream(.changes, database, spool)
            try await stream.complete()
            let changed = stream.with { $0.fingerprint = "changed" }
            #expect(try await changed.complete().warning("config_changed") != nil)
            #expect(try await changed.complete().warning("config_changed") == nil)
        }
    }

    @Test func `a reset after retention says that removed rows are spooled again`() async throws {
        try await withDatabase { database, spool in
            try await database.write(documents(10))
            let stream = stream(.changes, database, spool)
            try await stream.complete()
            let route = try await spool.route(1)
            try await spool.deliverAll(of: route)
            #expect(try await spool.retire(deliveredBefore: .maximum) == 10)
            try await spool.resetPosition(stream: route.streamNumber)
            let again = try await stream.complete()
            #expect(again.warning("retired_rows") != nil)
            #expect(again.counters.rowsSpooled == 10)
        }
    }

    @Test func `two extractors of one stream: the second names the first`() async throws {
        try await withDatabase { database, spool in
            let lock = try spool.lockExtractor(of: "memos", holder: "the first")
            let result = await stream(.changes, database, spool).run()
            guard case .locked(_, let holder) = result.error as? SpoolError else {
                Issue.record("not locked: \(String(describing: result.error))")
                return
            }
            #expect(holder == "the first")
            withExtendedLifetime(lock) {}
        }
    }

    @Test func `a full spool waits for delivery, then ends interrupted, and goes on when there is room`() async throws {
        try await withDatabase { database, spool in
            try await database.write(documents(400))
            let stream = stream(.full, database, spool)
            let used = try await spool.usedBytes()
            let full = stream.withOptions {
                $0.maximumSpoolBytes = used + Int64(SpoolStore.pageSize)
                $0.patience = .milliseconds(50)
            }
            let result = await full.run()
            #expect(result.kind == .noRoom)
            #expect(result.status == .interrupted)
            let finished = try await stream.complete()
            #expect(finished.runID == result.runID)
            #expect(try await stream.rows().count == 400)
        }
    }

    @Test func `a spool that nothing can empty says so at once`() async throws {
        try await withDatabase { database, spool in
            try await database.write(documents(3))
            let result = await stream(.full, database, spool).withOptions {
                $0.maximumSpoolBytes = 1
                $0.patience = nil
            }.run()
            #expect(result.kind == .spoolFull)
        }
    }

    @Test func `an account that may query but fetch no document by name reads a snapshot all the same`() async throws {
        try await withDatabase { database, spool in
            try await database.write((0..<20).map { .set("memos/m\($0)", ["n": .integer(1)]) })
            let refused = Gathered<String>()
            try await withLoopbackServer { request in
                guard !request.path.hasSuffix(":batchGet") else {
                    refused.add(request.path)
                    return .json(403, #"[{"error":{"code":403,"message":"no","status":"PERMISSION_DENIED"}}]"#)
                }
                return HTTPProxy.forward(request, to: database.host)?.passed ?? .close
            } _: { proxy in
                let result = try await Extraction(database, spool, mode: .full).behind(proxy).complete()
                #expect(result.counters.rowsSpooled == 20)
                // One look by a query, and the documents.
                #expect(result.counters.sourceReads == 21)
            }
            #expect(!refused.items.isEmpty)
        }
    }
}

extension SpoolStore {
    /// Plays a shipper whose requests all succeed.
    func deliverAll(of route: Route) async throws {
        for request in try await beginAll(of: route) {
            try await settle([Settlement(request, rest: .delivered, answeredAt: .now())])
        }
    }
}
