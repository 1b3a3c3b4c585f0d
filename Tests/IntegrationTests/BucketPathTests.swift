import Foundation
import JSONBytes
import Sandbox
import TestSupport
import Testing

/// The program over all stores at once.
@Suite(.needsPython) struct BucketPathTests {
    private static let account = "devstoreaccount1"
    private static let key = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="

    private func put(_ writer: ObjectWriter, _ bucket: String, _ form: String, _ folder: String) async throws {
        try await writer.write([
            .bucket(bucket), .put(bucket, "in/t." + form, try TableWriter.bytes(form, in: folder)),
        ])
    }

    @Test func `a table arrives from a folder and three stores with the same rows`() async throws {
        let sandbox = try SandboxServer()
        try sandbox.start()
        defer { sandbox.stop() }
        try await withTemporaryFolder { folder in
            try FileManager.default.createDirectory(atPath: folder + "/in", withIntermediateDirectories: true)
            try await TableWriter.write(60, ["csv", "csv.gz", "csv.zst", "snappy.parquet"], into: folder + "/in")
            let bucket = "b" + UUID().uuidString.lowercased().prefix(18)
            let (gs, s3) = (try await PeerServer.shared("gcs_server").url, try await PeerServer.shared("s3_server").url)
            let az = try await PeerServer.shared("azure_server").url + "/" + Self.account
            try await put(ObjectWriter(store: "gs", endpoint: gs), bucket, "csv.gz", folder + "/in")
            try await put(ObjectWriter(store: "s3", endpoint: s3), bucket, "csv.zst", folder + "/in")
            try await put(
                ObjectWriter(store: "az", endpoint: az, account: Self.account, key: Self.key), bucket, "snappy.parquet",
                folder + "/in")
            let text = """
                destination: {project: p, dataset: d, endpoint: "\(sandbox.endpoint)"}
                sources:
                  here: {type: files, url: in}
                  google: {type: files, url: "gs://\(bucket)/in/", endpoint: "\(gs)"}
                  amazon: {type: files, url: "s3://\(bucket)/in/", endpoint: "\(s3)", region: us-east-1}
                  azure: {type: files, url: "az://\(Self.account)/\(bucket)/in/", endpoint: "\(az)"}
                streams:
                  plain: {source: here, from: t.csv}
                  google: {source: google, from: "*"}
                  amazon: {source: amazon, from: "*"}
                  azure: {source: azure, from: "*"}

                """
            try text.write(toFile: folder + "/etl.yaml", atomically: true, encoding: .utf8)
            let program = EtlctlProcess(
                folder: folder,
                environment: [
                    "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AZURE_STORAGE_KEY": Self.key,
                ])
            let forecast = try await program.run("extract", "--dry-run", "--json").json()["streams"]?.arrayValue ?? []
            let sizes = try ["csv", "csv.gz", "csv.zst", "snappy.parquet"].map {
                Int64(try TableWriter.bytes($0, in: folder + "/in").count)
            }
            #expect(Set(forecast.compactMap { $0["bytes"]?.intValue }) == Set(sizes))
            #expect(forecast.count == 4 && forecast.allSatisfy { $0["objects"]?.intValue == 1 })

            let extracted = try await program.run("extract")
            #expect(extracted.code == 0, "\(extracted.diagnostics)")
            let shipped = try await program.run("ship")
            #expect(shipped.code == 0, "\(shipped.diagnostics)")
            var tables: [String: [String]] = [:]
            for table in ["plain", "google", "amazon", "azure"] {
                tables[table] = try sandbox.state.rows(of: "p.d.\(table)").map { row in
                    JSONValue.object((row.objectValue ?? []).filter { !$0.name.hasPrefix("_") }).text
                }.sorted()
            }
            #expect(tables["plain"]?.count == 60)
            for table in ["google", "amazon", "azure"] { #expect(tables[table] == tables["plain"], "\(table)") }

            let objects = try await program.run("audit", "objects", "--json").json()["objects"]?.arrayValue ?? []
            #expect(objects.count == 4)
            #expect(objects.allSatisfy { $0["rows"]?.intValue == 60 && $0["version"]?.stringValue?.isEmpty == false })
            #expect(Set(objects.compactMap { $0["size"]?.intValue }) == Set(sizes))
            let one = try await program.run("audit", "objects", "amazon").output
            #expect(one.contains("t.csv.zst") && !one.contains("t.csv.gz"))
        }
    }

    @Test func `wrong names, empty files, no match and missing buckets are told apart`() async throws {
        let s3 = try await PeerServer.shared("s3_server").url
        for (name, bytes, from, code, word) in [
            ("a.csv", Array(repeating: 0, count: 0), "*.csv", Int32(0), ""),
            ("a.csv", [], "*.jsonl", 0, "no_objects"),
            ("a.csv", [0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 3], "*.csv", 65, "a.csv"),
            ("a.parquet", Array("id,name\n1,x\n".utf8), "*.parquet", 65, "a.parquet"),
            ("a.unknown", [1], "*.unknown", 78, "format"),
            ("a.csv", [], "s3", 78, "no-such-bucket"),
        ] as [(String, [UInt8], String, Int32, String)] {
            try await withTemporaryFolder { folder in
                try FileManager.default.createDirectory(atPath: folder + "/in", withIntermediateDirectories: true)
                try Data(bytes).write(to: URL(fileURLWithPath: folder + "/in/" + name))
                let source =
                    from == "s3"
                    ? "{type: files, url: \"s3://no-such-bucket-x/\", endpoint: \"\(s3)\", region: us-east-1}"
                    : "{type: files, url: in}"
                let text = """
                    destination: {project: p, dataset: d, endpoint: "http://127.0.0.1:1"}
                    sources:
                      drops: \(source)
                    streams:
                      lines: {source: drops, from: "\(from == "s3" ? "*.csv" : from)"}

                    """
                try text.write(toFile: folder + "/etl.yaml", atomically: true, encoding: .utf8)
                let program = EtlctlProcess(
                    folder: folder, environment: ["AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"])
                let outcome = try await program.run("extract", "--json")
                #expect(outcome.code == code, "\(name) \(from): \(outcome.output) \(outcome.diagnostics)")
                #expect(word.isEmpty || (outcome.output + outcome.diagnostics).contains(word), "\(outcome.output)")
            }
        }
    }
}
