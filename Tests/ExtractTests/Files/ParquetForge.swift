/// Parquet files as no honest writer makes them: Thrift, pages and levels byte by byte.
enum ParquetForge {
    /// A value of Thrift's compact protocol.
    indirect enum Thrift {
        case int(Int64)
        case binary([UInt8])
        case list([Thrift])
        case structure([(id: Int, Thrift)])

        static func text(_ text: String) -> Thrift { .binary(Array(text.utf8)) }
        static func int(_ number: Int) -> Thrift { .int(Int64(number)) }

        var type: UInt8 {
            switch self {
            case .int: 5
            case .binary: 8
            case .list: 9
            case .structure: 12
            }
        }

        var bytes: [UInt8] {
            switch self {
            case .int(let number): return varint(UInt64(bitPattern: number << 1 ^ number >> 63))
            case .binary(let bytes): return varint(UInt64(bytes.count)) + bytes
            case .list(let elements):
                return [0xF0 | (elements.first?.type ?? 5)] + varint(UInt64(elements.count)) + elements.flatMap(\.bytes)
            case .structure(let fields):
                var (bytes, last): ([UInt8], Int) = ([], 0)
                for (id, value) in fields {
                    bytes += [UInt8((id - last) << 4) | value.type] + value.bytes
                    last = id
                }
                return bytes + [0]
            }
        }
    }

    static func varint(_ number: UInt64) -> [UInt8] {
        number < 0x80 ? [UInt8(number)] : [UInt8(number & 0x7F) | 0x80] + varint(number >> 7)
    }

    static func little(_ number: Int) -> [UInt8] { (0..<4).map { UInt8(truncatingIfNeeded: number >> (8 * $0)) } }

    /// A run of equal levels or indexes.
    static func run(_ count: Int, of value: UInt8) -> [UInt8] { varint(UInt64(count) << 1) + [value] }

    // MARK: Pages

    enum Encoding: Int {
        case plain = 0
        case delta = 5
        case deltaLengths = 6
        case deltaBytes = 7
        case dictionary = 8
        case split = 9
    }

    /// - Parameter claims: what the header says of sizes, where it lies.
    static func page(
        _ body: [UInt8], values: Int, _ encoding: Encoding = .plain, levels: Int = 3,
        unpacked: Int? = nil, packed: Int? = nil
    ) -> [UInt8] {
        Thrift.structure([
            (1, .int(0)), (2, .int(unpacked ?? body.count)), (3, .int(packed ?? body.count)),
            (
                5,
                .structure([(1, .int(values)), (2, .int(encoding.rawValue)), (3, .int(levels)), (4, .int(levels))])
            ),
        ]).bytes + body
    }

    static func dictionary(_ body: [UInt8], values: Int, unpacked: Int? = nil) -> [UInt8] {
        Thrift.structure([
            (1, .int(2)), (2, .int(unpacked ?? body.count)), (3, .int(body.count)),
            (7, .structure([(1, .int(values)), (2, .int(0))])),
        ]).bytes + body
    }

    /// Levels as they stand in pages of version 1.
    static func levels(_ runs: [UInt8]...) -> [UInt8] {
        let bytes = runs.flatMap { $0 }
        return little(bytes.count) + bytes
    }

    // MARK: Files

    struct Column {
        var name = "a"
        /// As in parquet.thrift: 1 is INT32, 6 BYTE_ARRAY.
        var type = 1
        /// 0 required, 1 optional, 2 repeated.
        var repetition = 0
        var codec = 0
        var pages: [UInt8] = []
        var values = 1
        var size: Int?
        var start: Int?
    }

    static func file(_ columns: [Column], rows: Int = 1) -> [UInt8] {
        var bytes = Array("PAR1".utf8)
        var chunks: [Thrift] = []
        for column in columns {
            let start = column.start ?? bytes.count
            bytes += column.pages
            chunks.append(
                .structure([
                    (2, .int(start)),
                    (
                        3,
                        .structure([
                            (1, .int(column.type)), (2, .list([.int(0)])), (3, .list([.text(column.name)])),
                            (4, .int(column.codec)), (5, .int(column.values)), (6, .int(column.pages.count)),
                            (7, .int(column.size ?? column.pages.count)), (9, .int(start)),
                        ])
                    ),
                ]))
        }
        let schema =
            [Thrift.structure([(4, .text("root")), (5, .int(columns.count))])]
            + columns.map { .structure([(1, .int($0.type)), (3, .int($0.repetition)), (4, .text($0.name))]) }
        let group = Thrift.structure([(1, .list(chunks)), (2, .int(0)), (3, .int(rows))])
        return file(
            bytes,
            footer: Thrift.structure([(1, .int(2)), (2, .list(schema)), (3, .int(rows)), (4, .list([group]))]).bytes)
    }

    static func file(_ bytes: [UInt8] = Array("PAR1".utf8), footer: [UInt8]) -> [UInt8] {
        bytes + footer + little(footer.count) + Array("PAR1".utf8)
    }
}
