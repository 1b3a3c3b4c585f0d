import Foundation
import TestSupport
import Testing

/// `kill -9` in the middle of an extract of files, again and again until it is done, as for SQL.
@Suite(.needsPython) struct FilesKillTests {
    @Test(
        arguments: [
            ("csv", "incremental"), ("csv.gz", "incremental"), ("csv.zst", "full"), ("jsonl.gz", "changes"),
            ("snappy.parquet", "incremental"), ("zstd.parquet", "changes"),
        ])
    func `an extract of a folder`(form: String, mode: String) async throws {
        try await withTemporaryFolder { folder in
            try await TableWriter.write(SQLKillTests.rows, [form], into: folder)
            try await SQLKillTests().verify(
                source: "{type: files, url: \"\(folder)\"}", from: "\"t.*\"", mode: "\(mode), key: [id]")
        }
    }

    /// Each store with a format that is read from an offset, one that is unpacked again, and one of ranges.
    @Test(arguments: Bucket.kinds, ["jsonl", "csv.gz", "snappy.parquet"])
    func `an extract of a bucket`(kind: String, form: String) async throws {
        let bucket = try await Bucket.make(kind)
        try await withTemporaryFolder { folder in
            try await TableWriter.write(SQLKillTests.rows, [form], into: folder)
            try await bucket.put("t." + form, try TableWriter.bytes(form, in: folder))
        }
        try await SQLKillTests().verify(
            source: bucket.source, from: "\"t.*\"", mode: "incremental", environment: bucket.environment)
    }
}
