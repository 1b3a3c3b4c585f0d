import Foundation
import JSONBytes
import TestSupport
import Testing

/// `extract --dry-run` of Firestore.
@Suite(.firestoreEmulator) struct ForecastTests {
    @Test func `a dry run counts, makes no spool, and estimates from an assumption, then from the rows that are there`()
        async throws
    {
        try await Pipeline.with(streams: Pipeline.memos) { pipeline in
            try await pipeline.seed(0..<120)
            let first = try await pipeline.stream("extract", "--dry-run")
            #expect(first["documents"] == 120)
            #expect(first["billed_reads"] == 120)
            #expect(first["estimated_bytes"] == 120_000)
            #expect(first["estimated_seconds"] == 1)
            #expect(first["estimate_basis"]?.stringValue?.contains("assumption") == true)
            let files = try FileManager.default.contentsOfDirectory(atPath: pipeline.program.folder)
            #expect(!files.contains { $0.contains(".sqlite") })

            #expect(try await pipeline.program.run(["extract"]).code == 0)
            let second = try await pipeline.stream("extract", "--dry-run")
            #expect(second["documents"] == 120)
            let basis = try #require(second["estimate_basis"]?.stringValue)
            #expect(basis.hasPrefix("120 rows in the spool, "))
            #expect(!basis.contains("assumption"))
            let bytes = try #require(second["estimated_bytes"]?.intValue)
            #expect(bytes > 120 * 300 && bytes < 120 * 700, "\(bytes)")
            let table = try await pipeline.program.run(["extract", "--dry-run"])
            #expect(table.output.contains("BASED ON") && table.output.contains("120 rows in the spool"))
        }
    }
}
