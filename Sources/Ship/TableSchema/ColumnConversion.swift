internal import JSONBytes
internal import Spool

/// One value as it stands in a payload.
enum SpooledValue {
    case null
    case bool(Bool)
    /// A JSON number's text.
    case number(UnsafeRawBufferPointer)
    /// A JSON string's content, escapes decoded.
    case text(UnsafeRawBufferPointer)
}

/// How values of a spooled type get into a column: as they are, converted without loss, or not at all (contract section 5).
enum ColumnConversion {
    enum Fit: Equatable {
        /// Every value of the type, byte for byte.
        case always
        /// It depends on the value: `convert` tries.
        case sometimes
        case never
    }

    static func fit(_ type: SpooledType, into column: ColumnSchema) -> Fit {
        if type == .null { return column.mode == .nullable ? .always : .never }
        if column.mode == .repeated { return type == .json || type == .jsonText ? .sometimes : .never }
        switch column.type {
        case .string:
            return type.isText && column.maximumLength == nil ? .always : .sometimes
        case .bool:
            return type == .bool ? .always : type == .string ? .sometimes : .never
        case .int64:
            if type == .int64 || type == .largeInt64 { return .always }
            return [.float64, .numeric, .bignumeric, .string].contains(type) ? .sometimes : .never
        case .float64:
            if type == .int64 || type == .float64 { return .always }
            return [.largeInt64, .numeric, .bignumeric, .string].contains(type) ? .sometimes : .never
        case .numeric, .bignumeric:
            let isFree = column.precision == nil && column.scale == nil
            if isFree, type == .largeInt64 || type == .numeric { return .always }
            if isFree, type == .bignumeric, column.type == .bignumeric { return .always }
            let numbers: [SpooledType] = [.int64, .largeInt64, .float64, .numeric, .bignumeric, .string]
            return numbers.contains(type) ? .sometimes : .never
        case .bytes:
            if type == .bytes { return column.maximumLength == nil ? .always : .sometimes }
            return type == .string ? .sometimes : .never
        case .date, .time, .geography:
            return type.columnType == column.type ? .always : type == .string ? .sometimes : .never
        case .datetime:
            if type == .datetime { return .always }
            return [.timestamp, .date, .string].contains(type) ? .sometimes : .never
        case .timestamp:
            if type == .timestamp { return .always }
            return [.datetime, .string].contains(type) ? .sometimes : .never
        case .json:
            return .sometimes
        case .record:
            return type == .json || type == .jsonText ? .sometimes : .never
        case .other:
            return .never
        }
    }

    /// Appends the value as the column takes it.
    ///
    /// - Returns: false if it can't be converted without loss; then nothing was appended.
    static func convert(
        _ value: SpooledValue, of type: SpooledType, into column: ColumnSchema, _ target: ByteBuffer
    ) -> Bool {
        if column.mode == .repeated || column.type == .record {
            guard case .text(let json) = value, type == .json || type == .jsonText else { return false }
            return NestedConversion.convert(json, into: column, target)
        }
        if type == .string, case .text(let text) = value, !ScalarText.isNumber(text, asPrintedBy: column.type) {
            return false
        }
        switch column.type {
        case .string: return string(value, column, target)
        case .bool: return bool(value, target)
        case .int64: return int64(value, target)
        case .float64: return float64(value, target)
        case .numeric, .bignumeric: return decimal(value, column, target)
        case .json: return json(value, type, target)
        case .timestamp: return timestamp(value, target)
        case .datetime: return datetime(value, type, target)
        case .bytes, .date, .time, .geography: return exactText(value, column, target)
        case .record, .other: return false
        }
    }

    private static func string(_ value: SpooledValue, _ column: ColumnSchema, _ target: ByteBuffer) -> Bool {
        let start = target.count
        let length: Int
        switch value {
        case .null: return false
        case .bool(let flag):
            target.append(flag ? "\"true\"" : "\"false\"")
            length = flag ? 4 : 5
        case .number(let text):
            target.appendJSONString(text)
            length = text.count
        case .text(let text):
            target.appendJSONString(text)
            // maxLength counts characters (schemas page): every byte but continuation bytes begins one.
            length = text.reduce(0) { $0 + ($1 & 0xC0 == 0x80 ? 0 : 1) }
        }
        if let limit = column.maximumLength, length > limit {
            target.truncate(to: start)
            return false
        }
        return true
    }

    private static func bool(_ value: SpooledValue, _ target: ByteBuffer) -> Bool {
        switch value {
        case .bool(let flag):
            target.append(flag ? "true" : "false")
        case .text(let text) where ScalarText.equals(text, "true"):
            target.append("true")
        case .text(let text) where ScalarText.equals(text, "false"):
            target.append("false")
        default:
            return false
        }
        return true
    }

    /// The value as an integer, if it is one exactly.
    private static func integer(_ value: SpooledValue) -> Int64? {
        switch value {
        case .number(let text):
            if let exact = ScalarText.int64(text) { return exact }
            guard let double = ScalarText.double(text), double.magnitude <= 9_007_199_254_740_992 else { return nil }
            // -0.0 is another value than 0.
            return double == 0 && double.sign == .minus ? nil : Int64(exactly: double)
        case .text(let text):
            return ScalarText.int64(text)
        case .null, .bool:
            return nil
        }
    }

    private static func int64(_ value: SpooledValue, _ target: ByteBuffer) -> Bool {
        if let integer = integer(value) {
            append(integer, target)
            return true
        }
        // A decimal such as 5.00.
        guard case .text(let text) = value, let decimal = ScalarText.decimal(text), decimal.fractionDigits == 0,
            decimal.isCanonical || text.contains(UInt8(ascii: "."))
        else { return false }
        let whole = UnsafeRawBufferPointer(rebasing: text.prefix { $0 != UInt8(ascii: ".") })
        guard let integer = ScalarText.int64(whole) else { return false }
        append(integer, target)
        return true
    }

    /// Beyond 2^53 INT64 goes as a string (loading-data-cloud-storage-json page).
    private static func append(_ integer: Int64, _ target: ByteBuffer) {
        let isLarge = integer.magnitude > 9_007_199_254_740_991
        if isLarge { target.append(UInt8(ascii: "\"")) }
        target.append(decimal: integer)
        if isLarge { target.append(UInt8(ascii: "\"")) }
    }

    private static func float64(_ value: SpooledValue, _ target: ByteBuffer) -> Bool {
        switch value {
        case .number(let text):
            target.append(text)
            return true
        case .text(let text):
            if let integer = ScalarText.int64(text) {
                guard let double = Double(exactly: integer), Int64(exactly: double) == integer else { return false }
                target.append(text)
                return true
            }
            guard ScalarText.isDouble(text) else { return false }
            let isSpecial = text.first == UInt8(ascii: "N") || text.contains(UInt8(ascii: "I"))
            if isSpecial { target.appendJSONString(text) } else { target.append(text) }
            return true
        case .null, .bool:
            return false
        }
    }

    private static func decimal(_ value: SpooledValue, _ column: ColumnSchema, _ target: ByteBuffer) -> Bool {
        switch value {
        case .number:
            guard let integer = integer(value), digitsFit(String(integer.magnitude).utf8.count, 0, column) else {
                return false
            }
            target.append(UInt8(ascii: "\""))
            target.append(decimal: integer)
            target.append(UInt8(ascii: "\""))
            return true
        case .text(let text):
            guard let decimal = ScalarText.decimal(text),
                digitsFit(decimal.integerDigits, decimal.fractionDigits, column)
            else { return false }
            target.appendJSONString(text)
            return true
        case .null, .bool:
            return false
        }
    }

    /// NUMERIC holds 29 digits before and 9 after the point, BIGNUMERIC 38 and 38 for certain (its 39th digit only in part).
    private static func digitsFit(_ integer: Int, _ fraction: Int, _ column: ColumnSchema) -> Bool {
        let isBig = column.type == .bignumeric
        let scale = column.precision == nil ? (isBig ? 38 : 9) : column.scale ?? 0
        let whole = column.precision.map { $0 - scale } ?? (isBig ? 38 : 29)
        return integer <= whole && fraction <= scale
    }

    private static func json(_ value: SpooledValue, _ type: SpooledType, _ target: ByteBuffer) -> Bool {
        switch value {
        case .null:
            return false
        case .bool(let flag):
            target.append(flag ? "\"true\"" : "\"false\"")
        case .number(let text):
            target.appendJSONString(text)
        case .text(let text):
            switch type {
            case .string:
                guard ScalarText.isCompactJSON(text), JSONColumnFit.keeps(text) else { return false }
                target.appendJSONString(text)
            case .json, .jsonText:
                guard JSONColumnFit.keeps(text) else { return false }
                target.appendJSONString(text)
            case .float64:
                // NaN and the infinities have no form in JSON.
                return false
            case .largeInt64:
                target.appendJSONString(text)
            default:
                // Dates, bytes and the like as JSON strings; none of their texts needs an escape.
                target.append("\"\\\"")
                target.appendJSONEscaped(text)
                target.append("\\\"\"")
            }
        }
        return true
    }

    private static func timestamp(_ value: SpooledValue, _ target: ByteBuffer) -> Bool {
        guard case .text(let text) = value, let moment = Timestamp(rfc3339: text, zoneIsOptional: true) else {
            return false
        }
        append(moment, target, zone: true)
        return true
    }

    private static func datetime(_ value: SpooledValue, _ type: SpooledType, _ target: ByteBuffer) -> Bool {
        guard case .text(let text) = value else { return false }
        switch type {
        case .timestamp:
            // The same moment on UTC's calendar.
            guard let moment = Timestamp(rfc3339: text) else { return false }
            append(moment, target, zone: false)
        case .date:
            guard ScalarText.isDate(text) else { return false }
            target.append(UInt8(ascii: "\""))
            target.append(text)
            target.append("T00:00:00\"")
        default:
            guard ScalarText.isDatetime(text) else { return false }
            target.appendJSONString(text)
        }
        return true
    }

    private static func append(_ moment: Timestamp, _ target: ByteBuffer, zone: Bool) {
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: Timestamp.maximumTextLength) { buffer in
            guard let start = buffer.baseAddress else { return }
            let length = moment.write(into: start)
            target.append(UInt8(ascii: "\""))
            target.append(start, count: zone ? length : length - 1)
            target.append(UInt8(ascii: "\""))
        }
    }

    private static func exactText(_ value: SpooledValue, _ column: ColumnSchema, _ target: ByteBuffer) -> Bool {
        guard case .text(let text) = value else { return false }
        let fits =
            switch column.type {
            case .date: ScalarText.isDate(text)
            case .time: ScalarText.isTime(text)
            case .geography: ScalarText.isPoint(text)
            case .bytes:
                ScalarText.isBase64(text) && text.count / 4 * 3 <= (column.maximumLength ?? .max - 2) + 2
            default: false
            }
        if fits { target.appendJSONString(text) }
        return fits
    }
}
