/// Waits until the condition holds, looking again and again without sleeping for a fixed time.
/// - Returns: false when it did not hold within the bound.
package func eventually(
    within bound: Duration = .seconds(10), _ condition: () async throws -> Bool
) async rethrows -> Bool {
    let end = ContinuousClock.now + bound
    while ContinuousClock.now < end {
        if try await condition() { return true }
        await Task.yield()
    }
    return try await condition()
}
