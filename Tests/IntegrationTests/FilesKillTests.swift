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

    @Test(arguments: ["csv.gz", "jsonl.zst", "snappy.parquet"])
    func `an extract of a bucket`(form: String) async throws {
        try await withTemporaryFolder { folder in
            try await TableWriter.write(SQLKillTests.rows, [form], into: folder)
            let url = try await PeerServer.shared("s3_server").url
            let bucket = "b" + UUID().uuidString.lowercased().prefix(18)
            try await ObjectWriter(store: "s3", endpoint: url).write([
                .bucket(bucket), .put(bucket, "t." + form, try TableWriter.bytes(form, in: folder)),
            ])
            try await SQLKillTests().verify(
                source: "{type: files, url: \"s3://\(bucket)/\", endpoint: \"\(url)\", region: us-east-1}",
                from: "\"t.*\"", mode: "incremental",
                environment: ["AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"])
        }
    }
}
