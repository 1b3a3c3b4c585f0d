import Foundation
import Testing

/// Waits until the condition holds, looking every millisecond. The bound is for what never comes: a busy machine may be slow.
/// - Returns: false when it did not hold within the bound.
package func eventually(
    within bound: Duration = .seconds(60), _ condition: () async throws -> Bool
) async rethrows -> Bool {
    let end = ContinuousClock.now + bound
    while ContinuousClock.now < end {
        if try await condition() { return true }
        // Only the pace of looking: without it the waiting test would take a core from what it waits for.
        try? await Task.sleep(for: .milliseconds(1))
    }
    return try await condition()
}

/// Does what may fail for a moment, again until it works, for half a minute; then records why it did not. Blocks, for closures that can't wait.
package func insist(_ body: () throws -> Void) {
    for attempt in 1...300 {
        do { return try body() } catch {
            if attempt == 300 { Issue.record(error) }
            Thread.sleep(forTimeInterval: 0.1)
        }
    }
}
