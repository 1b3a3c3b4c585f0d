/// What a column's values are, by their logical type (LogicalTypes.md), else by how they are stored.
enum ParquetMeaning: Equatable {
    case boolean
    case integer(isSigned: Bool, bits: Int)
    case float
    case float16
    case double
    case decimal(scale: Int, precision: Int)
    case date
    case time(TimeUnit)
    case timestamp(TimeUnit, isUTC: Bool)
    /// Nanoseconds of a day and a Julian day number.
    case int96
    case string
    case json
    case bytes
    case uuid
    case interval
    /// Always null.
    case nothing

    init(_ element: ParquetMetadata.SchemaElement, _ type: ParquetType, column: String) throws {
        if let logical = element.logical {
            guard let meaning = try Self.of(logical, type, column: column) else {
                throw BrokenObject(reason: "column \(column) has the logical type \(logical) on \(type) values")
            }
            self = meaning
        } else if let converted = element.converted {
            let (scale, precision) = (element.scale, element.precision)
            guard let meaning = try Self.of(converted: converted, scale: scale, precision: precision, type, column)
            else {
                throw BrokenObject(reason: "column \(column) has the converted type \(converted) on \(type) values")
            }
            self = meaning
        } else {
            self = Self.of(type)
        }
        if self == .interval, element.typeLength != 12 { throw Self.wrongLength(column) }
        if self == .uuid, element.typeLength != 16 { throw Self.wrongLength(column) }
        if self == .float16, element.typeLength != 2 { throw Self.wrongLength(column) }
    }

    private static func wrongLength(_ column: String) -> BrokenObject {
        BrokenObject(reason: "column \(column) has values of a length that its type does not have")
    }

    private static func of(_ type: ParquetType) -> ParquetMeaning {
        switch type {
        case .boolean: .boolean
        case .int32: .integer(isSigned: true, bits: 32)
        case .int64: .integer(isSigned: true, bits: 64)
        case .int96: .int96
        case .float: .float
        case .double: .double
        case .byteArray, .fixed: .bytes
        }
    }

    /// Nil where the logical type does not go with the physical one.
    private static func of(
        _ logical: ParquetMetadata.LogicalType, _ type: ParquetType, column: String
    ) throws -> ParquetMeaning? {
        let isBinary = type == .byteArray || type == .fixed
        switch logical {
        case .string, .enumeration: return isBinary ? .string : nil
        case .json: return isBinary ? .json : nil
        case .bson: return isBinary ? .bytes : nil
        case .decimal(let scale, let precision):
            return try decimal(scale: scale, precision: precision, type, column: column)
        case .date: return type == .int32 ? .date : nil
        case .time(let unit): return type == (unit == .millis ? .int32 : .int64) ? .time(unit) : nil
        case .timestamp(let unit, let isUTC): return type == .int64 ? .timestamp(unit, isUTC: isUTC) : nil
        case .integer(let bits, let isSigned):
            guard type == .int32 || type == .int64, [8, 16, 32, 64].contains(bits), (bits == 64) == (type == .int64)
            else { return nil }
            return .integer(isSigned: isSigned, bits: bits)
        case .null: return .nothing
        case .uuid: return type == .fixed ? .uuid : nil
        case .float16: return type == .fixed ? .float16 : nil
        case .map, .list: return of(type)
        case .unknown(let number):
            let name = ParquetMetadata.LogicalType.names[number] ?? "number \(number)"
            throw BrokenObject(reason: "column \(column) has the logical type \(name), which can't be read")
        }
    }

    private static func of(
        converted: Int, scale: Int, precision: Int, _ type: ParquetType, _ column: String
    ) throws -> ParquetMeaning? {
        switch converted {
        case 0, 4: return try of(.string, type, column: column)
        case 1, 2, 3: return of(type)
        case 5: return try decimal(scale: scale, precision: precision, type, column: column)
        case 6: return try of(.date, type, column: column)
        case 7: return try of(.time(.millis), type, column: column)
        case 8: return try of(.time(.micros), type, column: column)
        case 9: return try of(.timestamp(.millis, isUTC: true), type, column: column)
        case 10: return try of(.timestamp(.micros, isUTC: true), type, column: column)
        case 11...14: return try of(.integer(bits: 8 << (converted - 11), isSigned: false), type, column: column)
        case 15...18: return try of(.integer(bits: 8 << (converted - 15), isSigned: true), type, column: column)
        case 19: return try of(.json, type, column: column)
        case 20: return try of(.bson, type, column: column)
        case 21: return type == .fixed ? .interval : nil
        default: throw BrokenObject(reason: "column \(column) has the unknown converted type \(converted)")
        }
    }

    private static func decimal(
        scale: Int, precision: Int, _ type: ParquetType, column: String
    ) throws -> ParquetMeaning? {
        guard scale >= 0, precision > 0, scale <= precision, precision <= 1000 else {
            throw BrokenObject(
                reason: "column \(column) is a decimal of \(precision) digits, \(scale) behind the point")
        }
        switch type {
        case .int32, .int64, .byteArray, .fixed: return .decimal(scale: scale, precision: precision)
        default: return nil
        }
    }
}
