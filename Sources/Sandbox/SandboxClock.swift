internal import Foundation
internal import Synchronization

/// The sandbox's time: the machine's clock, or a test's, plus what `advance` added.
package final class SandboxClock: Sendable {
    /// Microseconds since 1970.
    private let base: @Sendable () -> Int64
    private let added = Atomic<Int64>(0)

    package init(base: (@Sendable () -> Int64)? = nil) {
        self.base = base ?? { Int64((Date().timeIntervalSince1970 * 1_000_000).rounded()) }
    }

    /// Microseconds since 1970.
    package var now: Int64 { base() + added.load(ordering: .relaxed) }

    /// Moves the time on: windows, delays and tokens age at once.
    package func advance(by duration: Duration) {
        added.add(duration.microseconds, ordering: .relaxed)
    }
}

extension Duration {
    var microseconds: Int64 {
        let parts = components
        return parts.seconds * 1_000_000 + parts.attoseconds / 1_000_000_000_000
    }
}
