#if DEBUG
    internal import Foundation
    internal import Synchronization
#endif

/// A moment at which a test may kill the process, to prove what it leaves behind. Nothing in release builds.
///
/// `ETLCTL_CRASH_AT=NAME:N` in the environment of a debug build sends SIGKILL to the process when it reaches the point for the n-th time.
package enum CrashPoint: String, CaseIterable, Sendable {
    /// Inside a write transaction, everything done but the commit.
    case beforeCommit = "commit.before"
    /// The transaction is durable, nobody knows yet.
    case afterCommit = "commit.after"
    /// A request is on record as being sent; no byte has left.
    case beforeSend = "send.before"
    /// The whole request has left; nobody has looked at an answer.
    case afterSend = "send.after"
    /// The head of the answer has arrived; nobody has judged it.
    case beforeAnswer = "answer.before"
    /// The whole answer has arrived and is not on record.
    case afterAnswer = "answer.after"

    @inline(__always)
    package static func reached(_ point: CrashPoint) {
        #if DEBUG
            guard let wanted, wanted.point == point else { return }
            let count = reachedCount.withLock { count in
                count += 1
                return count
            }
            if count == wanted.count { kill(getpid(), SIGKILL) }
        #endif
    }

    #if DEBUG
        private static let reachedCount = Mutex(0)
        private static let wanted: (point: CrashPoint, count: Int)? = {
            guard let text = ProcessInfo.processInfo.environment["ETLCTL_CRASH_AT"] else { return nil }
            let parts = text.split(separator: ":").map(String.init)
            guard parts.count == 2, let point = CrashPoint(rawValue: parts[0]), let count = Int(parts[1]) else {
                return nil
            }
            return (point, count)
        }()
    #endif
}
