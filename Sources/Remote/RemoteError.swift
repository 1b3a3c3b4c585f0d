package import Extract

/// Why the remote copy of a spool can't be restored, saved or used.
package enum RemoteError: Error, Sendable, CustomStringConvertible {
    /// Another process holds the lock.
    case held(url: String, holder: String, age: Duration?)
    /// The lock was taken by another one.
    case lost(url: String, holder: String?)
    /// For so long the store could not be asked whether the lock still holds, that another one may have it by now.
    case uncertain(url: String, reason: String)
    /// The local spool and the store's copy are not of one line.
    case forked(url: String, spool: String, savedBy: String, savedAt: String)
    /// The copy in the store, or its state, is not what was saved there.
    case damaged(url: String, reason: String)
    /// Written by a newer etlctl.
    case newer(url: String, version: Int64)
    /// The store does not do what is asked.
    case store(ExtractError)

    package var description: String {
        switch self {
        case .held(let url, let holder, let age):
            let since = age.map { ", last seen \($0.components.seconds) s ago" } ?? ""
            return "another machine works with the spool kept in \(url): \(holder)\(since)"
        case .lost(let url, let holder):
            return "the lock of the spool kept in \(url) was lost"
                + (holder.map { ": \($0) has it now" } ?? "")
        case .uncertain(let url, let reason):
            return
                "whether the lock of the spool kept in \(url) still is this machine's could not be found out: \(reason)"
        case .forked(let url, let spool, let savedBy, let savedAt):
            return "the spool \(spool) and the copy in \(url) have gone different ways: \(savedBy) saved the copy at "
                + "\(savedAt), and \(spool) does not come from it"
        case .damaged(let url, let reason): return "the copy in \(url) can't be used: \(reason)"
        case .newer(let url, let version):
            return "the state in \(url) has version \(version), written by a newer etlctl"
        case .store(let error): return error.description
        }
    }

    package var hint: String? {
        switch self {
        case .held: "wait for it to finish, or stop it; a lock that nobody renews is free after two minutes"
        case .lost: "nothing is lost: the other machine went on from the last copy. Run one of the two"
        case .uncertain:
            "everything committed is safe in the local spool; run the same command again when the store can be reached"
        case .forked(let url, let spool, _, _):
            "neither was changed. To go on from the copy, move \(spool) away (nothing that it sent is doubled: BigQuery is asked); to go on from \(spool), move the objects below \(url) away"
        case .damaged(let url, _):
            "put an older version of the objects below \(url) back, or move them away to begin anew"
        case .newer: "update etlctl"
        // The stores speak of sources.
        case .store(let error): error.hint?.replacing("the source's", with: "spool.remote's")
        }
    }
}
