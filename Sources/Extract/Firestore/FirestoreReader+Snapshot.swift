internal import JSONBytes
internal import Spool

extension FirestoreReader {
    /// The time at which a whole collection is read: the last whole minute where point-in-time recovery keeps such times for days, else
    /// the server's own, which it serves for an hour (protocol facts: A.10).
    func snapshotTime() async throws -> (text: String, isEmpty: Bool) {
        let now = try await freshReadTime()
        guard !now.isEmpty, let time = Timestamp(rfc3339: now.text) else { return now }
        // Only where this account may ask; the emulator does not answer.
        guard let database = try? await client.metadata(""),
            database["pointInTimeRecoveryEnablement"]?.stringValue == "POINT_IN_TIME_RECOVERY_ENABLED"
        else { return now }
        let minute = Timestamp(microseconds: time.microseconds - time.microseconds % 60_000_000)
        let earliest = database["earliestVersionTime"]?.stringValue.flatMap { Timestamp(rfc3339: $0) }
        guard let earliest, earliest <= minute else { return now }
        return (minute.description, false)
    }
}
