import Extract
import Foundation
import Spool
import TestSupport
import Testing

@Suite(.needsPython) struct SameTableTests {
    private static let rows = 120

    @Test(arguments: TestPlace.kinds)
    func `a table gives the same values in every format and compression`(kind: String) async throws {
        try await withTemporaryFolder { folder in
            try await TableWriter.write(Self.rows, into: folder)
            let place = try await TestPlace.make(kind, folder: folder)
            if kind != "local" {
                try await place.put(TableWriter.forms.map { ("t." + $0, try TableWriter.bytes($0, in: folder)) })
            }
            var values: [String: [String]] = [:]
            for form in TableWriter.forms {
                try await withTemporarySpool { spool in
                    var files = FilesExtraction(folder, spool, from: "t." + form)
                    files.store = place.store
                    try await files.complete()
                    values[form] = try await files.fields()
                    let path = try await files.rows().first?.path
                    #expect(path == place.store.url + "t." + form)
                }
            }
            let wanted = try #require(values["none.parquet"])
            #expect(wanted.count == Self.rows)
            // As it was written, so that they are not all wrong in the same way.
            #expect(
                wanted[1].hasPrefix(
                    #"{"big":"9223372036854775806","code":"01","day":"2024-02-02","done":false,"id":2,"#))
            #expect(wanted[1].hasSuffix(#" \"é😀\",\n\\ 1","ratio":1.25,"updated_at":"2025-11-25T14:01:57.5Z"}"#))
            #expect(wanted[3].contains(#""note":null"#))
            for form in TableWriter.forms { #expect(values[form] == wanted, "\(form)") }
        }
    }
}
