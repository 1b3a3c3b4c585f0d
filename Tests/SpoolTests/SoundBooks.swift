import Spool
import Testing

/// Every check of `audit` holds for the route, and SQLite finds the file sound.
func expectSoundBooks(
    _ spool: SpoolStore, _ route: Route, sourceLocation: SourceLocation = #_sourceLocation
) async throws {
    for check in try await spool.audit(route, payloadMatches: { _, _ in true }) + [spool.checkIntegrity()] {
        #expect(check.isOK, "\(check.name): \(check.detail)", sourceLocation: sourceLocation)
    }
}
