import Foundation
import JSONBytes
import Spool
import TestSupport
import Testing

@testable import Extract

/// Text made to hang a reader or to exhaust its memory.
struct HostileTextTests {
    private func reason(_ body: () throws -> Void) -> String {
        do {
            try body()
            return "nothing was refused"
        } catch let broken as BrokenObject { return broken.reason } catch { return "\(error)" }
    }

    @Test(.timeLimit(.minutes(5))) func `thousands of columns of one name are told apart in time`() throws {
        let count = 8000
        let header = [String](repeating: "a", count: count).joined(separator: ",")
        let values = (1...count).map { "\($0)" }.joined(separator: ",")
        let rows = try TextReaderFixture.csv(header + "\n" + values + "\n")
        let row = try JSONValue(parsing: try #require(rows.first))
        #expect(rows.count == 1 && row.objectValue?.count == count)
        #expect(row["a"]?.intValue == 1 && row["a_\(count)"]?.intValue == Int64(count))
    }

    @Test(.timeLimit(.minutes(5))) func `thousands of members that become one column name are told apart in time`()
        throws
    {
        let count = 8000
        let members = (0..<count).compactMap { Unicode.Scalar(0x4E00 + $0) }.map { "\"\($0)\":1" }
        let rows = try TextReaderFixture.json("{" + members.joined(separator: ",") + "}\n")
        let row = try JSONValue(parsing: try #require(rows.first))
        #expect(row.objectValue?.count == count)
        #expect(row["_"]?.intValue == 1 && row["__\(count)"]?.intValue == 1)
    }

    @Test func `more columns than anybody has are refused`() {
        let count = CSVReader.maximumColumns + 1
        let header = (1...count).map { "c\($0)" }.joined(separator: ",")
        #expect(reason { _ = try TextReaderFixture.csv(header + "\n1\n") }.contains("names 100001 columns"))
        let members = (1...count).map { "\"m\($0)\":1" }
        let one = "{" + members.joined(separator: ",") + "}\n"
        #expect(reason { _ = try TextReaderFixture.json(one) }.contains("more than 100000 different members"))
        let lines = members.map { "{\($0)}\n" }.joined()
        #expect(reason { _ = try TextReaderFixture.json(lines) }.contains("up to line 100001"))
    }

    @Test(.timeLimit(.minutes(5))) func `an object of many members in the wrong order is sorted in time`() throws {
        let count = 400_000
        var source = Array("{".utf8)
        for number in (0..<count).reversed() { source += Array("\"k\(1_000_000 + number)\":0,".utf8) }
        source += Array("\"a\":1}".utf8)
        let target = ByteBuffer()
        try source.withUnsafeBytes { try CompactJSON().append($0, to: target) }
        #expect(target.count == source.count)
        #expect(target.string.hasPrefix(#"{"a":1,"k1000000":0,"k1000001":0,"#))
    }

    @Test(.needsPython, arguments: ["gz", "zst"])
    func `a file that unpacks to thousands of times its size is refused, and read no further`(packing: String)
        async throws
    {
        try await withFiles("*") { files in
            // 400 MB of rows of half a megabyte.
            _ = try await PythonPeer.run("bomb", arguments: [files.folder + "/bomb.csv." + packing])
            let result = await files.run()
            #expect(result.kind == .malformed)
            #expect("\(String(describing: result.error))".contains("more than 1000 times its size"))
            #expect(result.counters.rowsRead < 400, "\(result.counters.rowsRead)")
        }
    }
}
