/// What a Parquet file says of itself in its footer (parquet.thrift).
struct ParquetMetadata {
    var schema: [SchemaElement] = []
    var rowGroups: [RowGroup] = []

    struct SchemaElement {
        var type: ParquetType?
        var typeLength = 0
        var repetition = Repetition.required
        var name = ""
        var children = 0
        var converted: Int?
        var scale = 0
        var precision = 0
        var logical: LogicalType?
    }

    enum Repetition: Int {
        case required = 0
        case optional = 1
        case repeated = 2
    }

    /// The newer way to say what values mean; it comes before `converted`.
    enum LogicalType: Equatable {
        case string
        case map
        case list
        case enumeration
        case decimal(scale: Int, precision: Int)
        case date
        case time(TimeUnit)
        case timestamp(TimeUnit, isUTC: Bool)
        case integer(bits: Int, isSigned: Bool)
        case null
        case json
        case bson
        case uuid
        case float16
        case unknown(Int)
    }

    struct RowGroup {
        var rows = 0
        var columns: [ColumnChunk] = []
    }

    struct ColumnChunk {
        var type: ParquetType?
        var path: [String] = []
        var codec = 0
        var values = 0
        var compressedSize: Int64 = 0
        var dataPage: Int64 = 0
        var dictionaryPage: Int64?
        var filePath: String?
        var isEncrypted = false

        /// Where its first page begins.
        var start: Int64 { dictionaryPage.map { $0 > 0 ? min($0, dataPage) : dataPage } ?? dataPage }
    }
}

/// How values are stored.
enum ParquetType: Int {
    case boolean = 0
    case int32 = 1
    case int64 = 2
    case int96 = 3
    case float = 4
    case double = 5
    case byteArray = 6
    case fixed = 7
}

enum TimeUnit: Int {
    case millis = 1
    case micros = 2
    case nanos = 3

    var perSecond: Int64 {
        switch self {
        case .millis: 1000
        case .micros: 1_000_000
        case .nanos: 1_000_000_000
        }
    }
}

extension ParquetMetadata {
    private static let maximumElements = 100_000

    init(_ footer: [UInt8]) throws {
        var reader = ThriftReader(footer)
        var isEncrypted = false
        do {
            try reader.readStruct { reader, field in
                switch field.id {
                case 2:
                    schema = try reader.readList(of: "schema elements", most: Self.maximumElements) {
                        try SchemaElement(&$0)
                    }
                case 4: rowGroups = try reader.readList(of: "row groups", least: 6) { try RowGroup(&$0) }
                case 8:
                    isEncrypted = true
                    return false
                default: return false
                }
                return true
            }
        } catch is ThriftReader.EndOfBytes {
            throw BrokenObject(reason: "its footer is cut off")
        }
        guard !isEncrypted else { throw BrokenObject(reason: "it is encrypted, which etlctl can't read") }
    }
}

extension ParquetMetadata.SchemaElement {
    init(_ reader: inout ThriftReader) throws {
        try reader.readStruct { reader, field in
            switch field.id {
            case 1: type = try ParquetType(checking: try reader.int())
            case 2: typeLength = try reader.int()
            case 3:
                guard let known = ParquetMetadata.Repetition(rawValue: try reader.int()) else {
                    throw BrokenObject(reason: "its schema holds an unknown repetition")
                }
                repetition = known
            case 4: name = try reader.string()
            case 5: children = try reader.int()
            case 6: converted = try reader.int()
            case 7: scale = try reader.int()
            case 8: precision = try reader.int()
            case 10: logical = try ParquetMetadata.LogicalType(&reader)
            default: return false
            }
            return true
        }
    }
}

extension ParquetType {
    init(checking number: Int) throws {
        guard let type = ParquetType(rawValue: number) else {
            throw BrokenObject(reason: "it holds values of the unknown physical type \(number)")
        }
        self = type
    }
}

extension ParquetMetadata.LogicalType {
    /// A union: a struct of which one field is set.
    init(_ reader: inout ThriftReader) throws {
        var result = Self.unknown(0)
        try reader.readStruct { reader, field in
            switch field.id {
            case 5:
                var (scale, precision) = (0, 0)
                try reader.readStruct { reader, field in
                    switch field.id {
                    case 1: scale = try reader.int()
                    case 2: precision = try reader.int()
                    default: return false
                    }
                    return true
                }
                result = .decimal(scale: scale, precision: precision)
                return true
            case 7, 8:
                let (unit, isUTC) = try Self.time(&reader)
                result = field.id == 7 ? .time(unit) : .timestamp(unit, isUTC: isUTC)
                return true
            case 10:
                var (bits, isSigned) = (64, true)
                try reader.readStruct { reader, field in
                    switch field.id {
                    case 1: bits = try reader.int8()
                    case 2: isSigned = field.type == ThriftReader.WireType.yes
                    default: return false
                    }
                    return true
                }
                result = .integer(bits: bits, isSigned: isSigned)
                return true
            default:
                result = Self.plain[field.id] ?? .unknown(field.id)
                return false
            }
        }
        self = result
    }

    private static let plain: [Int: Self] = [
        1: .string, 2: .map, 3: .list, 4: .enumeration, 6: .date, 11: .null, 12: .json, 13: .bson, 14: .uuid,
        15: .float16,
    ]

    /// What the numbers of types that can't be read stand for.
    static let names = [16: "VARIANT", 17: "GEOMETRY", 18: "GEOGRAPHY"]

    private static func time(_ reader: inout ThriftReader) throws -> (TimeUnit, isUTC: Bool) {
        var unit: TimeUnit?
        var isUTC = false
        try reader.readStruct { reader, field in
            switch field.id {
            case 1:
                isUTC = field.type == ThriftReader.WireType.yes
                return true
            case 2:
                try reader.readStruct { _, field in
                    unit = TimeUnit(rawValue: field.id)
                    return false
                }
                return true
            default: return false
            }
        }
        guard let unit else { throw BrokenObject(reason: "its schema holds a time of an unknown unit") }
        return (unit, isUTC)
    }
}

extension ParquetMetadata.RowGroup {
    init(_ reader: inout ThriftReader) throws {
        try reader.readStruct { reader, field in
            switch field.id {
            case 1:
                columns = try reader.readList(of: "column chunks", least: 16) { try ParquetMetadata.ColumnChunk(&$0) }
            case 3: rows = try reader.int()
            default: return false
            }
            return true
        }
        guard rows >= 0, rows <= 1 << 40 else { throw BrokenObject(reason: "a row group has \(rows) rows") }
    }
}

extension ParquetMetadata.ColumnChunk {
    init(_ reader: inout ThriftReader) throws {
        try reader.readStruct { reader, field in
            switch field.id {
            case 1: filePath = try reader.string()
            case 3: try readMetadata(&reader)
            case 8, 9:
                isEncrypted = true
                return false
            default: return false
            }
            return true
        }
    }

    private mutating func readMetadata(_ reader: inout ThriftReader) throws {
        try reader.readStruct { reader, field in
            switch field.id {
            case 1: type = try ParquetType(checking: try reader.int())
            case 3: path = try reader.readList(of: "names in a path") { try $0.string() }
            case 4: codec = try reader.int()
            case 5: values = try reader.int()
            case 7: compressedSize = try reader.integer()
            case 9: dataPage = try reader.integer()
            case 11: dictionaryPage = try reader.integer()
            default: return false
            }
            return true
        }
    }
}

/// What stands in front of a page.
struct ParquetPageHeader {
    var type = -1
    var uncompressedSize = 0
    var compressedSize = 0
    var values = 0
    var encoding = 0
    var definitionEncoding = 3
    var repetitionEncoding = 3
    var definitionBytes = 0
    var repetitionBytes = 0
    var isCompressed = true

    static let data = 0
    static let dictionary = 2
    static let dataV2 = 3

    init(_ reader: inout ThriftReader) throws {
        try reader.readStruct { reader, field in
            switch field.id {
            case 1: type = try reader.int()
            case 2: uncompressedSize = try reader.int()
            case 3: compressedSize = try reader.int()
            case 5, 7: try readData(&reader)
            case 8: try readDataV2(&reader)
            default: return false
            }
            return true
        }
    }

    private mutating func readData(_ reader: inout ThriftReader) throws {
        try reader.readStruct { reader, field in
            switch field.id {
            case 1: values = try reader.int()
            case 2: encoding = try reader.int()
            case 3 where field.type == 5: definitionEncoding = try reader.int()
            case 4 where field.type == 5: repetitionEncoding = try reader.int()
            default: return false
            }
            return true
        }
    }

    private mutating func readDataV2(_ reader: inout ThriftReader) throws {
        try reader.readStruct { reader, field in
            switch field.id {
            case 1: values = try reader.int()
            case 4: encoding = try reader.int()
            case 5: definitionBytes = try reader.int()
            case 6: repetitionBytes = try reader.int()
            case 7: isCompressed = field.type == ThriftReader.WireType.yes
            default: return false
            }
            return true
        }
    }
}
