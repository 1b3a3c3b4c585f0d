/// Waits until the condition holds, looking every millisecond.
/// - Returns: false when it did not hold within the bound.
package func eventually(
    within bound: Duration = .seconds(10), _ condition: () async throws -> Bool
) async rethrows -> Bool {
    let end = ContinuousClock.now + bound
    while ContinuousClock.now < end {
        if try await condition() { return true }
        // Only the pace of looking: without it the waiting test would take a core from what it waits for.
        try? await Task.sleep(for: .milliseconds(1))
    }
    return try await condition()
}
