import Foundation
import JSONBytes
import Sandbox
import Spool
import TestSupport

/// One round of the crash harness: a collection that changes, a destination that fails, and a program that is killed again and again, at
/// random moments and at chosen points. In the end everything must be there exactly once.
struct CrashRound {
    struct Tally: Sendable {
        var kills: [String: Int] = [:]
        var faults: [String: Int] = [:]
        var commands = 0
        var rows = 0

        mutating func add(_ other: Tally) {
            kills.merge(other.kills, uniquingKeysWith: +)
            faults.merge(other.faults, uniquingKeysWith: +)
            commands += other.commands
            rows += other.rows
        }
    }

    struct Broken: Error, CustomStringConvertible {
        var description: String
    }

    let seed: UInt64
    /// Where a kill may be asked for.
    private let points: [CrashPoint]
    private var choices: SeededRandom
    private var tally = Tally()
    private var revision = 0

    init(seed: UInt64, points: [CrashPoint] = CrashPoint.ofDelivery) {
        self.seed = seed
        self.points = points
        choices = SeededRandom(seed: seed)
    }

    /// What the destination may do wrong. None of these is a refusal: in the end every row can be delivered.
    private static let faults = [
        "accept-then-drop-reply,rate=0.3,on=insertAll", "drop-before-accept,rate=0.3,on=insertAll",
        "status=503,reason=backendError,rate=0.3,on=insertAll",
        "status=500,reason=internalError,rate=0.2,on=insertAll,when=after",
        "reset,rate=0.3,on=insertAll", "truncate,rate=0.3,on=insertAll,when=after",
        "garbage,rate=0.3,on=insertAll,when=after",
        "row-error=backendError,rate=0.05", "status=429,reason=rateLimitExceeded,rate=0.3,on=insertAll",
        "stall=200ms,rate=0.2,on=insertAll", "stopped,rate=0.2",
    ]

    mutating func run() async throws -> Tally {
        var configuration = SandboxConfiguration()
        configuration.logLimit = 100_000
        let streams = """
              memos: {source: app, from: memos, mode: changes}
              by_time: {source: app, from: memos, watermark: last_modified, lookback: 1s}
            """
        return try await Pipeline.with(streams: streams, sandbox: configuration) { [self] pipeline in
            var round = self
            try await round.run(pipeline)
            return round.tally
        }
    }

    private mutating func run(_ pipeline: Pipeline) async throws {
        try pipeline.reconfigure(
            "dataset: d", "dataset: d, max_rows_per_request: \(Int.random(in: 5...40, using: &choices))")
        try await pipeline.seed(0..<Int.random(in: 30...120, using: &choices))
        let steps = Int.random(in: 3...8, using: &choices)
        for _ in 0..<steps {
            if choices.chance(0.5) { try await change(pipeline) }
            try setFaults(pipeline)
            try await killSomething(pipeline)
            // The window in which BigQuery knows an insertId again may have passed before the next start; a request that it is still working
            // on has not been stored by then, so the clock waits for it.
            if choices.chance(0.5) {
                guard await eventually({ pipeline.sandbox.state.requestsInFlight == 0 }) else {
                    throw Broken(description: "the sandbox did not finish its requests")
                }
                pipeline.sandbox.state.advanceClock(by: .seconds(120))
            }
        }
        pipeline.sandbox.state.clearFaults()
        try await finish(pipeline)
        try await compare(pipeline)
    }

    // MARK: Trouble

    private mutating func change(_ pipeline: Pipeline) async throws {
        revision += 1
        let first = Int.random(in: 0..<30, using: &choices)
        try await pipeline.seed(first..<first + Int.random(in: 1...10, using: &choices), revision: revision)
        if choices.chance(0.3) {
            try await pipeline.database.delete("memos/m\(Int.random(in: 0..<20, using: &choices))")
        }
    }

    private mutating func setFaults(_ pipeline: Pipeline) throws {
        guard choices.chance(0.7), let fault = Self.faults.randomElement(using: &choices) else {
            pipeline.sandbox.state.clearFaults()
            return
        }
        tally.faults[String(fault.prefix { $0 != "," }), default: 0] += 1
        try pipeline.sandbox.state.setFaults(fault, "seed=\(choices.next() % 1000)")
    }

    private mutating func killSomething(_ pipeline: Pipeline) async throws {
        guard
            let command = [["extract"], ["ship", "--settle", "0s"], ["run", "--settle", "0s"]].randomElement(
                using: &choices)
        else { return }
        let arguments = command + (command[0] == "extract" ? [] : ["--patience", "1s"])
        tally.commands += 1
        var program = pipeline.program
        let outcome: EtlctlProcess.Outcome
        if choices.chance(0.6), let point = points.randomElement(using: &choices) {
            program.environment["ETLCTL_CRASH_AT"] = "\(point.rawValue):\(Int.random(in: 1...12, using: &choices))"
            outcome = try await program.run(arguments)
            if outcome.signal == SIGKILL { tally.kills[command[0] + " at " + point.rawValue, default: 0] += 1 }
        } else {
            let delay = Duration.milliseconds(Int.random(in: 20...400, using: &choices))
            outcome = try await program.run(arguments, killAfter: delay)
            if outcome.signal == SIGKILL { tally.kills[command[0] + " at random", default: 0] += 1 }
        }
        guard outcome.signal == SIGKILL || [0, 75].contains(outcome.code ?? -1) else {
            throw Broken(description: "\(arguments) ended with \(outcome.code ?? -1): \(outcome.diagnostics)")
        }
    }

    // MARK: The end

    /// Without faults, a few runs must bring everything to rest.
    private mutating func finish(_ pipeline: Pipeline) async throws {
        var quiet = 0
        for _ in 0..<8 {
            let extracted = try await pipeline.program.run("extract", "--json")
            let shipped = try await pipeline.program.run("ship", "--settle", "0s", "--json")
            tally.commands += 2
            guard extracted.code == 0, shipped.code == 0 else {
                throw Broken(description: "finishing failed: \(extracted.diagnostics)\n\(shipped.diagnostics)")
            }
            let isDrained = try shipped.json()["status"] == "drained"
            let spooled = try extracted.json()["streams"]?.arrayValue?.reduce(0) {
                $0 + ($1["rows_spooled"]?.intValue ?? 0)
            }
            // The first run may only have ended one that was cut off, with that one's bounds: a fresh one must find nothing new either.
            quiet = isDrained && spooled == 0 ? quiet + 1 : 0
            if quiet == 2 { return }
        }
        throw Broken(description: "eight runs did not bring the pipeline to rest")
    }

    /// Source, spool and table, row by row.
    private mutating func compare(_ pipeline: Pipeline) async throws {
        let audit = try await pipeline.program.run("audit", "--json")
        guard try audit.json()["balanced"] == true else { throw Broken(description: "audit: \(audit.output)") }
        let rows =
            try await pipeline.program.run("audit", "rows", "--limit", "1000000", "--json").json()["rows"]?.arrayValue
            ?? []
        tally.rows += rows.count
        for table in ["memos", "by_time"] {
            let spooled = rows.filter { $0["stream"]?.stringValue == table }
            let undelivered = spooled.filter { $0["state"] != "delivered" }
            guard undelivered.isEmpty else {
                throw Broken(description: "\(table): rows not delivered: \(undelivered.prefix(3))")
            }
            let wanted = spooled.compactMap { $0["insert_id"]?.stringValue }.sorted()
            let stored = try pipeline.sandbox.state.rows(of: "p.d.\(table)").compactMap {
                $0["_insert_id"]?.stringValue
            }.sorted()
            guard Set(wanted).count == wanted.count else {
                throw Broken(description: "\(table): an insertId was spooled twice")
            }
            let missing = Set(wanted).subtracting(stored)
            let foreign = Set(stored).subtracting(wanted)
            guard missing.isEmpty else {
                throw Broken(description: "\(table): \(missing.count) rows lost, one is \(missing.first ?? "")")
            }
            guard foreign.isEmpty else { throw Broken(description: "\(table): \(foreign.count) rows unaccounted for") }
            guard stored.count == wanted.count else {
                throw Broken(description: "\(table): \(stored.count - wanted.count) rows doubled")
            }
        }
        try await compareWithSource(pipeline, rows)
    }

    /// The newest row of every document is the document's version; what is gone has a delete.
    private func compareWithSource(_ pipeline: Pipeline, _ rows: [JSONValue]) async throws {
        var newest: [String: JSONValue] = [:]
        for row in rows where row["stream"] == "memos" {
            guard let payload = row["payload"], let path = payload["_path"]?.stringValue else { continue }
            newest[path] = payload
        }
        let documents = try await pipeline.database.documents(of: "memos")
        for (path, document) in documents {
            let version = newest[path]
            guard version?["_op"] == "upsert", let updated = version?["_updated_at"]?.stringValue,
                Timestamp(rfc3339: updated) == document["updateTime"]?.stringValue.flatMap({ Timestamp(rfc3339: $0) })
            else { throw Broken(description: "\(path): the newest version is not in the spool") }
        }
        for (path, version) in newest where documents[path] == nil && version["_op"] != "delete" {
            throw Broken(description: "\(path) is gone, and no delete was spooled")
        }
    }
}
