import Testing

@testable import Extract

/// Files made to crash, hang or exhaust a reader: each is refused by name, soon, and without the memory that it claims.
struct HostileParquetTests {
    private typealias Forge = ParquetForge
    private typealias Thrift = ParquetForge.Thrift

    private func expect(
        _ reason: String, memory: Int = PageMemory.most, at location: SourceLocation = #_sourceLocation,
        _ bytes: [UInt8]
    ) async {
        do {
            let rows = try await ParquetFixture.read(bytes, atMost: 1_000_000, memory: memory)
            Issue.record("\(rows) rows were read", sourceLocation: location)
        } catch let broken as BrokenObject {
            #expect(broken.reason.contains(reason), "\(broken.reason)", sourceLocation: location)
        } catch {
            Issue.record(error, sourceLocation: location)
        }
    }

    /// So that what is refused below is not refused for another reason.
    @Test func `what is forged without a lie is read`() async throws {
        let plain = Forge.Column(pages: Forge.page(Forge.little(7), values: 1))
        let listed = Forge.Column(
            name: "l", type: 6, repetition: 2,
            pages: Forge.dictionary(Forge.little(1) + [0x78], values: 1)
                + Forge.page(
                    Forge.levels(Forge.run(1, of: 0), Forge.run(2, of: 1)) + Forge.levels(Forge.run(3, of: 1)) + [0],
                    values: 3, .dictionary), values: 3)
        #expect(try await ParquetFixture.read(Forge.file([plain, listed])) == 1)
    }

    // MARK: Footers

    @Test(.timeLimit(.minutes(5))) func `metadata that lies`() async {
        // A field's number that the next one's adds to.
        let last = Thrift.int(Int64.max).bytes
        await expect("a field of the number", Forge.file(footer: [0x05] + last + [0x00, 0x15, 0x00, 0x00]))
        await expect("a field of the number", Forge.file(footer: [0x05] + Thrift.int(-1).bytes + [0x00, 0x00]))
        await expect("nested too deeply", Forge.file(footer: [UInt8](repeating: 0x1C, count: 100_000)))
        await expect("a number that does not end", Forge.file(footer: [0x15] + [UInt8](repeating: 0xFF, count: 20)))
        await expect("unknown type 15", Forge.file(footer: [0x1F, 0x00]))
        // Elements that take a byte each in the file, and hundreds in memory.
        let empty = [UInt8](repeating: 0, count: 1_000_000)
        await expect(
            "more than 100000 schema elements",
            Forge.file(footer: [0x29, 0xFC] + Forge.varint(UInt64(empty.count)) + empty + [0]))
        await expect(
            "too short for 1000000 row groups",
            Forge.file(footer: [0x49, 0xFC] + Forge.varint(UInt64(empty.count)) + empty + [0]))
        // Maps of booleans, each of which claims more entries than there are bytes.
        let map = Forge.varint(150_000) + [0x11]
        let maps = (0..<50_000).flatMap { _ in map }
        await expect("cut off", Forge.file(footer: [0xF9, 0xFB] + Forge.varint(50_000) + maps + [0]))
        for length in [1, 100, Int(UInt32.max)] {
            let bytes = Array("PAR1".utf8) + [0] + Forge.little(length) + Array("PAR1".utf8)
            await expect(length == 1 ? "it has no schema" : "longer than the file", bytes)
        }
        await expect("it is encrypted", Array("PARE".utf8) + Forge.little(0) + Array("PARE".utf8))
    }

    @Test func `schemas that lie`() async {
        func footer(_ elements: [Thrift]) -> [UInt8] {
            Forge.file(
                footer: Thrift.structure([
                    (2, .list(elements)), (4, .list([.structure([(2, .int(0)), (3, .int(1 << 30))])])),
                ]).bytes)
        }
        let deep = (0..<200).map { _ in Thrift.structure([(4, .text("g")), (5, .int(1))]) }
        await expect("nested too deeply", footer(deep))
        await expect("cut off", footer([.structure([(4, .text("root")), (5, .int(Int.max))])]))
        await expect("no schema", footer([.structure([(4, .text("root")), (5, .int(-1))])]))
        let root = Thrift.structure([(4, .text("root")), (5, .int(1))])
        for (element, reason): ([(Int, Thrift)], String) in [
            ([(1, .int(99)), (4, .text("a"))], "unknown physical type 99"),
            ([(1, .int(1)), (3, .int(9)), (4, .text("a"))], "unknown repetition"),
            ([(1, .int(7)), (2, .int(1 << 40)), (4, .text("a"))], "values of"),
            ([(1, .int(7)), (2, .int(-4)), (4, .text("a"))], "values of"),
            ([(1, .int(1)), (4, .text("a")), (6, .int(5)), (7, .int(-3)), (8, .int(4))], "a decimal of 4 digits"),
            ([(1, .int(1)), (4, .text("a")), (6, .int(5)), (7, .int(1 << 40)), (8, .int(1 << 41))], "a decimal of"),
            ([(1, .int(7)), (2, .int(11)), (4, .text("a")), (6, .int(21))], "of a length"),
            ([(4, .text("a")), (5, .int(-2))], "a group of -2"),
        ] {
            await expect(reason, footer([root, .structure(element)]))
        }
    }

    // MARK: Pages

    @Test func `lengths and places that lie`() async {
        let page = Forge.page(Forge.little(7), values: 1)
        for (column, reason) in [
            (Forge.Column(pages: page, size: 1 << 40), "outside of the file"),
            (Forge.Column(pages: page, size: .max), "outside of the file"),
            (Forge.Column(pages: page, size: -1), "outside of the file"),
            (Forge.Column(pages: page, start: -5), "outside of the file"),
            (Forge.Column(pages: page, values: -1), "outside of the file"),
            (Forge.Column(pages: page, values: .max), "fewer values than the row group has rows"),
            (Forge.Column(pages: Forge.page([1], values: 1, packed: 1 << 30)), "reaches beyond its column"),
            (Forge.Column(pages: Forge.page([1], values: 1, packed: -1)), "reaches beyond its column"),
            (Forge.Column(pages: Forge.page([1], values: 1, unpacked: 1 << 40)), "the most is 256 MiB"),
            (Forge.Column(pages: Forge.page([1], values: 1, unpacked: -1)), "the most is 256 MiB"),
            (Forge.Column(codec: 6, pages: Forge.page([1], values: 1, unpacked: 1 << 27)), "ZSTD is damaged"),
            (Forge.Column(codec: 1, pages: Forge.page([1], values: 1, unpacked: 1 << 27)), "SNAPPY is damaged"),
            (Forge.Column(codec: 3, pages: Forge.page([1], values: 1)), "LZO"),
            (Forge.Column(codec: 99, pages: Forge.page([1], values: 1)), "codec 99"),
            (Forge.Column(pages: Forge.page([], values: .max), values: .max), "cut off"),
            (Forge.Column(pages: Forge.page(Forge.little(7), values: -1)), "more values than its row group says"),
            (Forge.Column(pages: Array(page.dropLast(4))), "reaches beyond its column"),
            (Forge.Column(pages: [0x15]), "is cut off"),
        ] {
            await expect(reason, Forge.file([column], rows: 2))
        }
    }

    @Test func `levels and values that lie`() async {
        let one = Forge.dictionary(Forge.little(1) + [0x78], values: 1)
        func text(_ pages: [UInt8], values: Int = 1) -> Forge.Column {
            Forge.Column(type: 6, pages: pages, values: values)
        }
        let deltas = Forge.varint(128) + Forge.varint(4)
        for (column, reason) in [
            // Indexes.
            (text(one + Forge.page([8] + Forge.run(1, of: 7), values: 1, .dictionary)), "value 7 of a dictionary of 1"),
            (text(Forge.page([8] + Forge.run(1, of: 0), values: 1, .dictionary)), "a dictionary that is not there"),
            (text(one + one + Forge.page([0], values: 1, .dictionary)), "two dictionaries"),
            (text(one + Forge.page([33] + Forge.run(1, of: 0), values: 1, .dictionary)), "33 bits"),
            (text(one + Forge.page([8] + Forge.varint(1 << 40), values: 1, .dictionary)), "a run that is too long"),
            (
                text(Forge.dictionary(Forge.little(900) + [0x78], values: 1) + Forge.page([0], values: 1, .dictionary)),
                "cut off"
            ),
            (text(Forge.dictionary([1], values: 1 << 30) + Forge.page([0], values: 1, .dictionary)), "cut off"),
            (text(Forge.dictionary([1], values: -1) + Forge.page([0], values: 1, .dictionary)), "negative"),
            // Values.
            (text(Forge.page(Forge.little(Int(UInt32.max)) + [0x78], values: 1)), "cut off"),
            (text(Forge.page(Forge.varint(0) + Forge.varint(4), values: 1, .deltaLengths)), "cut off"),
            (
                text(Forge.page(Forge.varint(7) + Forge.varint(3) + [1, 0], values: 1, .deltaLengths)),
                "in blocks that can't be"
            ),
            (
                text(Forge.page(Forge.varint(1 << 40) + Forge.varint(1) + [1, 0], values: 1, .deltaLengths)),
                "in blocks that can't be"
            ),
            (text(Forge.page(deltas + [1] + Thrift.int(-9).bytes + [0x78], values: 1, .deltaLengths)), "cut off"),
            (
                text(Forge.page(deltas + Forge.varint(1 << 31) + [0], values: 1, .deltaLengths)),
                "in blocks that can't be"
            ),
            (
                text(
                    Forge.page(
                        deltas + [1] + Thrift.int(5).bytes + deltas + [1] + Thrift.int(1).bytes + [0x78], values: 1,
                        .deltaBytes)),
                "more than the one before has"
            ),
            (text(Forge.page([1], values: 1, .delta)), "cut off"),
            // Levels.
            (Forge.Column(repetition: 1, pages: Forge.page(Forge.little(900), values: 1)), "cut off"),
            (
                Forge.Column(repetition: 1, pages: Forge.page(Forge.levels(Forge.run(1, of: 7)) + [0, 0], values: 1)),
                "levels that its schema does not have"
            ),
            (
                Forge.Column(repetition: 1, pages: Forge.page([1], values: 1 << 40, levels: 4), values: 1 << 40),
                "cut off"
            ),
            (Forge.Column(repetition: 1, pages: Forge.page([1], values: 1, levels: 77)), "unknown encoding 77"),
            (
                Forge.Column(
                    repetition: 2,
                    pages: Forge.page(
                        Forge.levels(Forge.run(1, of: 1)) + Forge.levels(Forge.run(1, of: 1)) + Forge.little(7),
                        values: 1)),
                "fewer values than the row group has rows"
            ),
        ] {
            await expect(reason, Forge.file([column]))
        }
    }

    // MARK: Bombs

    /// A page of zeros in LZ4's raw form, which has a 255th of their size.
    private func bomb(_ size: Int) -> [UInt8] {
        // One literal, then a match of all the rest at a distance of one, then the last five as literals (LZ4's block format).
        let match = size - 6 - 4 - 15
        return [0x1F, 0, 1, 0] + [UInt8](repeating: 255, count: match / 255) + [UInt8(match % 255)]
            + [0x50, 0, 0, 0, 0, 0]
    }

    @Test func `pages of many columns over the same bytes have a bound together`() async throws {
        let size = 3 << 20
        let body = bomb(size)
        let page = Forge.page(body, values: 1, unpacked: size)
        func file(_ columns: Int) -> [UInt8] {
            Forge.file(
                (0..<columns).map { index in
                    Forge.Column(
                        name: "c\(index)", codec: 7, pages: index == 0 ? page : [], size: page.count, start: 4)
                })
        }
        #expect(try await ParquetFixture.read(file(2), memory: 8 << 20) == 1)
        await expect("its pages take more than 8 MiB at once", memory: 8 << 20, file(3))
    }

    @Test(.timeLimit(.minutes(5))) func `one row of a list that repeats a value without end`() async {
        let count = 1 << 30
        let value = [UInt8](repeating: 0x78, count: 1 << 20)
        let pages =
            Forge.dictionary(Forge.little(value.count) + value, values: 1)
            + Forge.page(
                Forge.levels(Forge.run(1, of: 0), Forge.run(count, of: 1)) + Forge.levels(Forge.run(count + 1, of: 1))
                    + [0], values: count + 1, .dictionary)
        await expect(
            "a row of it becomes more than 64 MiB",
            Forge.file([Forge.Column(type: 6, repetition: 2, pages: pages, values: count + 1)]))
    }

    @Test(.timeLimit(.minutes(5))) func `many wide columns in one row`() async {
        let value = [UInt8](repeating: 0x78, count: 2 << 20)
        let page = Forge.page(Forge.little(value.count) + value, values: 1)
        let columns = (0..<40).map { index in
            Forge.Column(name: "c\(index)", type: 6, pages: index == 0 ? page : [], size: page.count, start: 4)
        }
        await expect("a row of it becomes more than 64 MiB", Forge.file(columns))
    }

    @Test(.timeLimit(.minutes(5)))
    func `hundreds of thousands of pages, empty or with one value, cost no more than their bytes`()
        async throws
    {
        let empty = Forge.page([], values: 0)
        let full = Forge.page(Forge.little(7), values: 1)
        let pages = (0..<200_000).flatMap { _ in empty } + full
        #expect(try await ParquetFixture.read(Forge.file([Forge.Column(pages: pages)])) == 1)

        func element(_ repetition: UInt8) -> [UInt8] {
            Forge.page(
                Forge.levels(Forge.run(1, of: repetition)) + Forge.levels(Forge.run(1, of: 1)) + Forge.little(7),
                values: 1)
        }
        let (first, next) = (element(0), element(1))
        let count = 100_000
        let list = first + (1..<count).flatMap { _ in next }
        #expect(
            try await ParquetFixture.read(Forge.file([Forge.Column(repetition: 2, pages: list, values: count)])) == 1)
    }
}
