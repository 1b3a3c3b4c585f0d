internal import JSONBytes
internal import Spool

extension FirestoreReader {
    /// The time at which a whole collection is read: the last whole minute where point-in-time recovery keeps such times for days, else
    /// the server's own, which it serves for an hour (protocol facts: A.10).
    func snapshotTime() async throws -> String {
        let now = try await serverTime()
        guard let time = Timestamp(rfc3339: now) else { return now }
        // Only where this account may ask; the emulator does not answer.
        guard let database = try? await client.metadata(""),
            database["pointInTimeRecoveryEnablement"]?.stringValue == "POINT_IN_TIME_RECOVERY_ENABLED"
        else { return now }
        let minute = Timestamp(microseconds: time.microseconds - time.microseconds % 60_000_000)
        let earliest = database["earliestVersionTime"]?.stringValue.flatMap { Timestamp(rfc3339: $0) }
        guard let earliest, earliest <= minute else { return now }
        return minute.description
    }

    /// Reads until it comes to its end. Where the server no longer serves the position's time, the rest is read as of a fresh one, and that
    /// is said.
    ///
    /// - Parameters:
    ///   - rest: which part is of the new time, for the message.
    ///   - read: goes on from the position and keeps it up to date, also when it throws; false when a budget ended it early.
    func holdingTime<Position: FirestorePosition>(
        of position: inout Position, rest: (Position) -> String, read: (inout Position) async throws -> Bool
    ) async throws -> Bool {
        while true {
            do {
                return try await read(&position)
            } catch let error as ExtractError where error.isExpiredReadTime {
                let old = position.readTime
                position.readTime = try await serverTime()
                run.warn(
                    "read_time_expired",
                    "the snapshot of \(old) is no longer served; \(rest(position)) is read as of \(position.readTime), so the run holds more than one moment (point-in-time recovery keeps a snapshot for days)"
                )
                try await run.commit(RunContext.Progress(position: position.json))
            }
        }
    }
}

/// Where a run stands that reads at one time.
protocol FirestorePosition {
    var readTime: String { get set }
    /// As it is kept with the run.
    var json: JSONValue { get }
}
