import Foundation
import JSONBytes
import Sandbox
import Spool
import TestSupport
import Testing

/// Disks are lost at random while machines, store and destination fail: source and table are compared row by row. `make torture` runs many
/// rounds; TORTURE_SEED repeats one.
@Suite struct RemoteTortureTests {
    private static let seeds: [UInt64] = {
        let environment = ProcessInfo.processInfo.environment
        if let seed = environment["TORTURE_SEED"].flatMap(UInt64.init) { return [seed] }
        // A round takes ten times as long as one of CrashTests.
        return (1...UInt64(max(8, (environment["TORTURE_ROUNDS"].flatMap(Int.init) ?? 0) / 10))).map { $0 }
    }()

    @Test func `disks lost at random, machines killed, stores failing: nothing is missing, nothing is doubled`()
        async throws
    {
        var total = RemoteRound.Tally()
        await withTaskGroup(of: RemoteRound.Tally?.self) { group in
            var waiting = Self.seeds[...]
            func startNext() {
                guard let seed = waiting.popFirst() else { return }
                group.addTask {
                    do {
                        return try await RemotePipeline.with { pipeline in
                            var round = RemoteRound(seed: seed)
                            try await round.run(pipeline)
                            return round.tally
                        }
                    } catch {
                        Issue.record("\(error)\nrepeat it with TORTURE_SEED=\(seed)")
                        return nil
                    }
                }
            }
            for _ in 0..<3 { startNext() }
            for await tally in group {
                if let tally { total.add(tally) }
                startNext()
            }
        }
        print(
            "remote torture: \(Self.seeds.count) rounds; \(total.commands) commands, \(total.kills) kills, "
                + "\(total.lostDisks) disks lost, \(total.forks) forks refused; \(total.rows) rows")
        #expect(Self.seeds.count == 1 || total.kills > Self.seeds.count)
        #expect(Self.seeds.count == 1 || total.lostDisks > Self.seeds.count)
    }
}

/// One round: some steps of trouble, then rest, then the comparison.
private struct RemoteRound {
    struct Tally: Sendable {
        var commands = 0
        var kills = 0
        var lostDisks = 0
        var forks = 0
        var rows = 0

        mutating func add(_ other: Tally) {
            commands += other.commands
            kills += other.kills
            lostDisks += other.lostDisks
            forks += other.forks
            rows += other.rows
        }
    }

    private static let faults = [
        "accept-then-drop-reply,rate=0.3,on=insertAll", "drop-before-accept,rate=0.3,on=insertAll",
        "status=503,reason=backendError,rate=0.3,on=insertAll", "reset,rate=0.3,on=insertAll",
        "garbage,rate=0.3,on=insertAll,when=after", "stall=200ms,rate=0.2,on=insertAll",
    ]

    private let seed: UInt64
    private var choices: SeededRandom
    private(set) var tally = Tally()

    init(seed: UInt64) {
        self.seed = seed
        choices = SeededRandom(seed: seed)
    }

    mutating func run(_ pipeline: RemotePipeline) async throws {
        for _ in 0..<Int.random(in: 8...14, using: &choices) {
            if choices.chance(0.7) { try pipeline.write(Int.random(in: 1...25, using: &choices)) }
            try spoil(pipeline)
            let name = choices.chance(0.7) ? "a" : "b"
            try await command(pipeline, name)
            if choices.chance(0.4) {
                pipeline.loseDisk(name)
                tally.lostDisks += 1
            }
            if choices.chance(0.5) { pipeline.leaveLease() }
            if choices.chance(0.5) { await pipeline.leaveWindow() }
        }
        pipeline.sandbox.state.clearFaults()
        pipeline.place.google?.spoil(nil)
        pipeline.loseDisk("b")
        pipeline.leaveLease()
        await pipeline.leaveWindow()
        // The spool of a may be of another line.
        let first = try await pipeline.machine().run("extract")
        if first.code == 78 { pipeline.loseDisk() } else { #expect(first.code == 0, "\(seed): \(first.diagnostics)") }
        try await pipeline.finish("a", "seed \(seed):")
        tally.rows += pipeline.count
    }

    private mutating func spoil(_ pipeline: RemotePipeline) throws {
        if choices.chance(0.5), let fault = Self.faults.randomElement(using: &choices) {
            try pipeline.sandbox.state.setFaults(fault, "seed=\(choices.next() % 1000)")
        } else {
            pipeline.sandbox.state.clearFaults()
        }
        let kinds: [GoogleStore.Spoil] = [.refuse(503), .cutBefore, .cutAfter]
        guard choices.chance(0.5), let kind = kinds.randomElement(using: &choices) else {
            pipeline.place.google?.spoil(nil)
            return
        }
        let (first, last) = (Int.random(in: 1...12, using: &choices), Int.random(in: 1...12, using: &choices))
        pipeline.place.google?.spoil { request, _, _ in request >= first && request < first + last ? kind : nil }
    }

    private mutating func command(_ pipeline: RemotePipeline, _ name: String) async throws {
        let commands = [["extract"], ["ship", "--settle", "0s"], ["run", "--settle", "0s"]]
        guard let command = commands.randomElement(using: &choices) else { return }
        let arguments = command + (command[0] == "extract" ? [] : ["--patience", "1s"])
        tally.commands += 1
        let outcome: EtlctlProcess.Outcome
        if choices.chance(0.6), let point = CrashPoint.allCases.randomElement(using: &choices) {
            let nth = Int.random(in: 1...(CrashPoint.ofRemote.contains(point) ? 2 : 12), using: &choices)
            outcome = try await pipeline.machine(name, crashAt: "\(point.rawValue):\(nth)").run(arguments)
        } else {
            let delay = Duration.milliseconds(Int.random(in: 50...1200, using: &choices))
            outcome = try await pipeline.machine(name).run(arguments, killAfter: choices.chance(0.6) ? delay : nil)
        }
        if outcome.signal == SIGKILL { return tally.kills += 1 }
        switch outcome.code {
        case 0, 75: break
        case 78:
            #expect(outcome.diagnostics.contains("different ways"), "seed \(seed): \(outcome.diagnostics)")
            tally.forks += 1
            pipeline.loseDisk(name)
        default: Issue.record("seed \(seed): \(arguments) ended with \(outcome.code ?? -1): \(outcome.diagnostics)")
        }
    }
}
