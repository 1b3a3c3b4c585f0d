internal import Foundation
internal import HTTPServer
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

extension HTTPResponse {
    /// With the server's clock, as `Date`.
    ///
    /// - Parameter now: microseconds since 1970.
    func dated(_ now: Int64) -> HTTPResponse {
        var seconds = time_t(now / 1_000_000)
        var parts = tm()
        gmtime_r(&seconds, &parts)
        var text = [CChar](repeating: 0, count: 64)
        let length = strftime(&text, text.count, "%a, %d %b %Y %H:%M:%S GMT", &parts)
        var dated = self
        dated.headers.append(
            ("Date", String(decoding: text.prefix(length).map(UInt8.init(bitPattern:)), as: UTF8.self)))
        return dated
    }
}
