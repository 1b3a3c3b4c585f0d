import Testing

@testable import etlctl

@Suite struct StreamPositionTests {
    private static let file = stream("source: shop", "from: public.memos", "watermark: at", "key: [id]")

    private func position(_ text: String) throws -> (StreamPosition, Configuration) {
        let configuration = try decode(text)
        return (StreamPosition(of: configuration.streams[0], in: configuration), configuration)
    }

    @Test(
        arguments: [
            ("from: public.memos", "from: public.notes", "streams.memos.from"),
            ("from: public.memos", "query: SELECT 1", "streams.memos.query"),
            ("watermark: at", "watermark: changed", "streams.memos.watermark"),
            ("watermark: at", "watermark: at\n    mode: changes", "streams.memos.mode"),
            ("key: [id]", "key: [id, part]", "streams.memos.key"),
            ("key: [id]", "key: [id]\n    table: other", "streams.memos.table"),
            ("db.example/shop", "db.example/shop2", "streams.memos.source"),
            ("db.example/shop", "db2.example/shop", "streams.memos.source"),
            ("dataset: raw_data", "dataset: other", "streams.memos.table"),
            ("dataset: raw_data", "dataset: raw_data\n  endpoint: https://other.example", "destination.endpoint"),
        ])
    func `a watermark kept for something else is refused with both values`(
        _ old: String, _ new: String, _ path: String
    ) throws {
        let (kept, _) = try position(Self.file)
        let (now, configuration) = try position(Self.file.replacing(old, with: new))
        let stored = try #require(StreamPosition(text: kept.text))
        let failure = try #require(now.refusal(of: stored, for: configuration.streams[0], in: configuration))
        #expect(failure.exitCode == 78)
        #expect(failure.message.contains(path), "\(failure.message)")
        #expect(failure.message.contains("(line "))
        #expect(failure.hint?.contains("etlctl watermark reset memos") == true)
    }

    @Test(
        arguments: [
            ("etl@db.example", "other:pw@db.example:5432"), ("key: [id]", "key: [id]\n    exclude: [a]"),
            ("key: [id]", "key: [id]\n    parallel: 4"), ("key: [id]", "key: [id]\n    lookback: 1h"),
            ("dataset: raw_data", "dataset: raw_data\n  max_in_flight: 2"),
        ])
    func `other settings leave the watermark alone`(_ old: String, _ new: String) throws {
        let (kept, _) = try position(Self.file)
        let (now, configuration) = try position(Self.file.replacing(old, with: new))
        let stored = try #require(StreamPosition(text: kept.text))
        #expect(now.refusal(of: stored, for: configuration.streams[0], in: configuration) == nil)
    }

    @Test func `loopback endpoints count as one`() throws {
        let here = "dataset: raw_data\n  endpoint: http://127.0.0.1:9050"
        let there = "dataset: raw_data\n  endpoint: http://localhost:1234"
        let (kept, _) = try position(Self.file.replacing("dataset: raw_data", with: here))
        let (now, configuration) = try position(Self.file.replacing("dataset: raw_data", with: there))
        #expect(now.refusal(of: kept, for: configuration.streams[0], in: configuration) == nil)
    }

    @Test func `names that only look alike are other names`() throws {
        let (kept, _) = try position(Self.file.replacing("public.memos", with: "\u{E9}"))
        let (now, configuration) = try position(Self.file.replacing("public.memos", with: "e\u{301}"))
        #expect(now.refusal(of: kept, for: configuration.streams[0], in: configuration) != nil)
        let both = try decode(stream("source: shop", "from: public.memos", "columns: [\u{E9}, e\u{301}]"))
        #expect(both.streams[0].fields == .only(["\u{E9}", "e\u{301}"]))
    }

    @Test func `what the source adds is kept and compared`() throws {
        var (kept, configuration) = try position(Self.file)
        var now = kept
        kept.append("watermark_type", "timestamp")
        now.append("watermark_type", "string")
        let stored = try #require(StreamPosition(text: kept.text))
        let failure = try #require(now.refusal(of: stored, for: configuration.streams[0], in: configuration))
        #expect(failure.message.contains(#"watermark_type "timestamp""#))
        configuration.streams = []
        #expect(StreamPosition(text: "no JSON") == nil)
    }

    @Test func `the shape changes with what shapes a row and with nothing else`() throws {
        func shape(_ line: String) throws -> String {
            try decode(stream("source: app", "from: memos", line)).streams[0].shapeText
        }
        let plain = try shape("parallel: 2")
        #expect(try plain == shape("lookback: 1h"))
        #expect(try shape("columns: [a, b]") == shape("columns: [b, a]"))
        for line in ["columns: [a]", "exclude: [a]", "rename: {a: b}", "types: {a: DATE}", "nested: json"] {
            #expect(try shape(line) != plain)
        }
    }
}
