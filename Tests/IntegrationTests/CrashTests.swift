import Foundation
import Spool
import TestSupport
import Testing

/// `make test` runs some rounds, `make torture ROUNDS=1000` many. TORTURE_SEED repeats one.
@Suite(.firestoreEmulator) struct CrashTests {
    private static let rounds = ProcessInfo.processInfo.environment["TORTURE_ROUNDS"].flatMap(Int.init) ?? 50
    /// Rounds that found something once, with the points there were then: with others they would be other rounds.
    private static let regressions: [UInt64] = [126, 137, 180, 730, 953]
    private static let earlierPoints: [CrashPoint] = [.beforeCommit, .afterCommit, .beforeSend, .afterAnswer]
    private static let seeds: [UInt64] = {
        if let seed = ProcessInfo.processInfo.environment["TORTURE_SEED"].flatMap(UInt64.init) { return [seed] }
        return regressions + (1...rounds).map(UInt64.init).filter { !regressions.contains($0) }
    }()

    @Test func `killed at any moment, with failing destinations, nothing is lost, doubled or unaccounted for`()
        async throws
    {
        var total = CrashRound.Tally()
        var failed = 0
        await withTaskGroup(of: Result<CrashRound.Tally, any Error>.self) { group in
            var waiting = Self.seeds[...]
            func startNext() {
                guard let seed = waiting.popFirst() else { return }
                group.addTask {
                    do {
                        var round =
                            Self.regressions.contains(seed)
                            ? CrashRound(seed: seed, points: Self.earlierPoints) : CrashRound(seed: seed)
                        return .success(try await round.run())
                    } catch {
                        Issue.record("\(error)\nrepeat it with: make torture SEED=\(seed)")
                        return .failure(error)
                    }
                }
            }
            for _ in 0..<3 { startNext() }
            for await result in group {
                if case .success(let tally) = result { total.add(tally) } else { failed += 1 }
                startNext()
            }
        }
        let kills = total.kills.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }.joined(separator: ", ")
        let faults = total.faults.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }.joined(separator: ", ")
        print(
            """
            torture: \(Self.seeds.count) rounds, \(failed) failed; \(total.commands) commands, \
            \(total.kills.values.reduce(0, +)) kills; \(total.rows) rows
            torture: kills: \(kills)
            torture: faults: \(faults)
            """)
        #expect(failed == 0)
        // Rounds that kill nothing prove nothing.
        #expect(Self.seeds.count == 1 || total.kills.values.reduce(0, +) > Self.seeds.count)
        if Self.seeds.count >= 500 {
            for command in ["ship", "run"] {
                let unmet = CrashPoint.ofDelivery.filter { total.kills["\(command) at \($0.rawValue)"] == nil }
                #expect(unmet.isEmpty, "\(command) was never killed there")
            }
        }
    }
}
