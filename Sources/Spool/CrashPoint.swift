#if DEBUG
    internal import Foundation
    internal import Synchronization
#endif

/// A moment at which a test may kill the process, to prove what it leaves behind. Nothing in release builds.
///
/// `ETLCTL_CRASH_AT=NAME:N` in the environment of a debug build sends SIGKILL to the process when it reaches the point for the n-th time.
package enum CrashPoint: String, CaseIterable, Sendable {
    /// Moments of the way from the source to the destination.
    package static let ofDelivery: [CrashPoint] = [
        .beforeCommit, .afterCommit, .beforeSend, .afterSend, .beforeAnswer, .afterAnswer,
    ]
    /// Moments of keeping a remote copy.
    package static let ofRemote = allCases.filter { !ofDelivery.contains($0) }

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

    /// The remote copy's lock is about to be taken.
    case beforeLock = "remote.lock.before"
    /// It is taken.
    case afterLock = "remote.lock.after"
    /// A part of the copy has been downloaded.
    case restoredPart = "remote.restore.part"
    /// The copy is here whole, and has not the spool's name yet.
    case beforeRestore = "remote.restore.before"
    /// It has the spool's name.
    case afterRestore = "remote.restore.after"
    /// A copy was made on the disk.
    case madeCopy = "remote.save.copied"
    /// A part of it was uploaded.
    case savedPart = "remote.save.part"
    /// All of it was uploaded; the store's current copy is another one.
    case beforeSave = "remote.save.before"
    /// It is the current one; the spool does not know.
    case afterSave = "remote.save.after"
    /// The spool knows; parts of the copy before are still there.
    case notedSave = "remote.save.noted"
    /// The remote copy's lock is about to be let go.
    case beforeRelease = "remote.release.before"
    /// It is let go.
    case afterRelease = "remote.release.after"

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
