import Foundation
import TestSupport
import Testing

@testable import Extract

struct CompressionTests {
    /// Compresses with the tools' own code.
    private func compressed(_ files: FilesExtraction, _ name: String, _ python: String) throws {
        try ChildProcess.run(["python3", "-c", python, files.folder + "/" + name])
    }

    @Test func `gzip of several members is read over the borders of its pieces, and resumed`() async throws {
        try await withFiles("*.csv.gz") { base in
            let files = base.with {
                $0.options.limit = 40_000
                $0.options.rowsPerPage = 10_000
            }
            try compressed(
                files, "a.csv.gz",
                """
                import gzip, sys
                text = b"id,name\\n" + b"".join(b"%d,name %d\\n" % (i, i) for i in range(100000))
                with open(sys.argv[1], "wb") as f:
                    for part in (text[:7], text[7:500000], text[500000:]): f.write(gzip.compress(part))
                    f.write(bytes(512))
                """)
            var commands = 1
            while try await files.complete().status != .complete { commands += 1 }
            #expect(commands == 3)
            let rows = try await files.rows()
            #expect(rows.count == 100_000)
            #expect(rows.last?.fields == #"{"id":99999,"name":"name 99999"}"#)
        }
    }

    @Test(arguments: [
        ("import gzip,sys;d=gzip.compress(b'id\\n1\\n');open(sys.argv[1],'wb').write(d[:-3])", "cut off"),
        (
            "import gzip,sys;d=bytearray(gzip.compress(b'id\\n1\\n'));d[-6]^=1;open(sys.argv[1],'wb').write(d)",
            "damaged"
        ),
        ("import sys;open(sys.argv[1],'wb').write(b'id\\n1\\n')", "no gzip file"),
        ("import sys;open(sys.argv[1],'wb').write(b'')", "cut off"),
    ])
    func `a gzip file that is hurt or a bomb is named`(python: String, reason: String) async throws {
        try await withFiles("*.csv.gz") { files in
            try compressed(files, "a.csv.gz", python)
            let result = await files.run()
            #expect(result.kind == .malformed)
            #expect("\(String(describing: result.error))".contains(reason))
        }
    }

    @Test func `a bomb is refused`() throws {
        let zeros = [UInt8](repeating: 0, count: 1 << 20)
        var limit = RatioLimit.ofText
        #expect(throws: BrokenObject.self) {
            for _ in 0..<1000 { try limit.count(in: 10, out: zeros.count) }
        }
        #expect(limit.bytesOut < 80 << 20)
        var fair = RatioLimit.ofText
        for _ in 0..<1000 { try fair.count(in: 4 << 10, out: 1 << 20) }
    }
}
