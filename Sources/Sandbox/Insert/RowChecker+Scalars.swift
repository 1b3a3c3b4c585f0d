internal import JSONBytes

/// What each column type takes: streaming page, data-types page, loading-data-cloud-storage-json page.
extension RowChecker {
    /// Reads and checks one value that is neither RECORD nor REPEATED; nil after an error, which is kept.
    mutating func scalar(
        _ column: ColumnPlan, at location: String, _ reader: inout JSONReader
    ) throws(JSONSyntaxError) -> CheckedValue? {
        switch try reader.peek() {
        case UInt8(ascii: "\""):
            let token = try reader.readString()
            return text(token, column, at: location, reader)
        case UInt8(ascii: "n"):
            try reader.readLiteral("null")
            return .null
        case UInt8(ascii: "t"):
            try reader.readLiteral("true")
            return boolean(true, column, at: location)
        case UInt8(ascii: "f"):
            try reader.readLiteral("false")
            return boolean(false, column, at: location)
        case UInt8(ascii: "{"):
            if column.type == .range { return try range(location, &reader) }
            try reader.skipValue()
            fail(location, "This field: \(location) is not a record.")
            return nil
        case UInt8(ascii: "["):
            try reader.skipValue()
            fail(location, "Array specified for non-repeated field: \(location).")
            return nil
        default:
            let token = try reader.readNumber()
            return number(token, column, at: location, reader)
        }
    }

    // MARK: JSON strings

    private mutating func text(
        _ token: JSONStringToken, _ column: ColumnPlan, at location: String, _ reader: JSONReader
    ) -> CheckedValue? {
        let reference: TextReference
        if token.isPlain {
            reference = TextReference(source: .body, start: token.start, count: token.end - token.start)
        } else {
            let start = result.scratch.count
            result.scratch.appendDecoded(reader.raw(token))
            reference = TextReference(source: .scratch, start: start, count: result.scratch.count - start)
        }
        if column.type == .string {
            if let limit = column.maxLength, !isWithin(limit, characters: result.bytes(reference)) {
                fail(
                    location,
                    "Field \(location): STRING(\(limit)) has maximum length \(limit) but got a value that is longer.")
                return nil
            }
            return .text(reference)
        }
        return typedText(reference, column, at: location)
    }

    private func isWithin(_ limit: Int, characters bytes: UnsafeRawBufferPointer) -> Bool {
        guard bytes.count > limit else { return true }
        return bytes.lazy.filter { $0 & 0xC0 != 0x80 }.count <= limit
    }

    private mutating func typedText(
        _ reference: TextReference, _ column: ColumnPlan, at location: String
    ) -> CheckedValue? {
        let bytes = result.bytes(reference)
        let value: CheckedValue? =
            switch column.type {
            case .integer: Int64(string(bytes)).map { .integer($0) }
            case .float: float(string(bytes)).map { .double($0) }
            case .boolean: boolean(string(bytes)).map { .integer($0 ? 1 : 0) }
            case .timestamp: TimeTextCursor.timestamp(bytes).map { time(.integer($0), at: $0) }
            case .date:
                TimeTextCursor.date(bytes).map {
                    let midnight = Int64($0) * CivilTime.microsecondsPerDay
                    return time(
                        bytes.count == 10 ? .text(reference) : canonical(CivilTime.dateText(days: $0)), at: midnight)
                }
            case .datetime:
                TimeTextCursor.datetime(bytes).map {
                    time(canonical(CivilTime.datetimeText(microseconds: $0)), at: $0)
                }
            case .time: TimeTextCursor.time(bytes).map { canonical(CivilTime.timeText(microseconds: $0)) }
            case .numeric, .bignumeric: decimal(bytes, column).map { canonical($0) }
            case .bytes: blob(bytes, limit: column.maxLength)
            case .geography: GeographyText.isValid(bytes) ? .text(reference) : nil
            case .json: JSONColumnText.canonical(bytes).map { canonical($0) }
            case .string, .record, .range: nil
            }
        if value == nil { fail(location, message(string(result.bytes(reference)), column.type, at: location)) }
        return value
    }

    private func string(_ bytes: UnsafeRawBufferPointer) -> String { String(decoding: bytes, as: UTF8.self) }

    private mutating func time(_ value: CheckedValue, at microseconds: Int64) -> CheckedValue {
        lastTime = microseconds
        return value
    }

    private func canonical(_ text: String) -> CheckedValue {
        let start = result.scratch.count
        result.scratch.append(text)
        return .text(TextReference(source: .scratch, start: start, count: result.scratch.count - start))
    }

    private func blob(_ bytes: UnsafeRawBufferPointer, limit: Int?) -> CheckedValue? {
        guard let decoded = Base64.decode(bytes), decoded.count <= limit ?? .max else { return nil }
        let start = result.scratch.count
        result.scratch.append(decoded)
        return .blob(TextReference(source: .scratch, start: start, count: decoded.count))
    }

    private func float(_ text: String) -> Double? {
        if let special = FloatText.special(text) { return special }
        guard text.utf8.allSatisfy({ "+-.eE0123456789".utf8.contains($0) }) else { return nil }
        return finite(text)
    }

    /// -0.0 cannot be stored (data-types page).
    private func finite(_ text: String) -> Double? {
        guard let value = Double(text), value.isFinite else { return nil }
        return value == 0 ? 0 : value
    }

    private func boolean(_ text: String) -> Bool? {
        switch text.lowercased() {
        case "true", "t", "yes", "y", "1": true
        case "false", "f", "no", "n", "0": false
        default: nil
        }
    }

    private func decimal(_ bytes: UnsafeRawBufferPointer, _ column: ColumnPlan) -> String? {
        guard let value = DecimalText(bytes) else { return nil }
        let fits =
            column.type == .numeric
            ? value.fitsNumeric(precision: column.precision, scale: column.scale)
            : value.fitsBignumeric(precision: column.precision, scale: column.scale)
        return fits ? value.text : nil
    }

    // MARK: Other JSON values

    private mutating func boolean(_ value: Bool, _ column: ColumnPlan, at location: String) -> CheckedValue? {
        guard column.type == .boolean else {
            fail(location, message(value ? "true" : "false", column.type, at: location))
            return nil
        }
        return .integer(value ? 1 : 0)
    }

    private mutating func number(
        _ token: JSONNumberToken, _ column: ColumnPlan, at location: String, _ reader: JSONReader
    ) -> CheckedValue? {
        let raw = reader.raw(token)
        let value: CheckedValue? =
            switch column.type {
            case .integer: integer(raw, isInteger: token.isInteger).map { .integer($0) }
            case .float: finite(string(raw)).map { .double($0) }
            case .boolean: boolean(string(raw)).map { .integer($0 ? 1 : 0) }
            case .numeric, .bignumeric: decimal(raw, column).map { canonical($0) }
            case .timestamp: seconds(raw).map { time(.integer($0), at: $0) }
            default: nil
            }
        if value == nil { fail(location, message(string(raw), column.type, at: location)) }
        return value
    }

    /// Numbers outside of +-2^53 lose digits on their way: they must be strings (loading-data-cloud-storage-json page).
    private func integer(_ raw: UnsafeRawBufferPointer, isInteger: Bool) -> Int64? {
        guard isInteger else { return nil }
        var value: Int64 = 0
        var index = 0
        let isNegative = raw[0] == UInt8(ascii: "-")
        if isNegative { index = 1 }
        guard raw.count - index <= 16 else { return nil }
        while index < raw.count {
            value = value * 10 + Int64(raw[index] - 0x30)
            index += 1
        }
        return value <= 1 << 53 ? (isNegative ? -value : value) : nil
    }

    /// A number in a TIMESTAMP column is seconds since 1970.
    private func seconds(_ raw: UnsafeRawBufferPointer) -> Int64? {
        guard let value = DecimalText(raw), value.integerDigits.count <= 12, value.fractionDigits.count <= 6,
            let whole = Int64("0" + String(decoding: value.integerDigits, as: UTF8.self))
        else { return nil }
        let padded =
            String(decoding: value.fractionDigits, as: UTF8.self)
            + String(repeating: "0", count: 6 - value.fractionDigits.count)
        let microseconds = (whole * 1_000_000 + (Int64(padded) ?? 0)) * (value.isNegative ? -1 : 1)
        return CivilTime.timestampRange.contains(microseconds) ? microseconds : nil
    }

    private mutating func range(_ location: String, _ reader: inout JSONReader) throws(JSONSyntaxError) -> CheckedValue?
    {
        let value = try reader.readValue(depth: 1)
        let members = value.objectValue ?? []
        guard
            members.allSatisfy({
                ["start", "end"].contains($0.name) && ($0.value.isNull || $0.value.stringValue != nil)
            })
        else {
            fail(location, "Invalid RANGE value for field \(location).")
            return nil
        }
        return canonical(value.text)
    }

    // MARK: Messages

    private func message(_ value: String, _ type: FieldType, at location: String) -> String {
        let shown = value.count > 64 ? value.prefix(64) + "..." : Substring(value)
        switch type {
        case .integer: return "Cannot convert value to integer (bad value): \(shown)"
        case .float: return "Cannot convert value to floating point (bad value): \(shown)"
        case .boolean: return "Cannot convert value to boolean (bad value): \(shown)"
        case .string: return "Cannot convert value to string (bad value): \(shown)"
        case .timestamp:
            return "Could not parse '\(shown)' as a timestamp. Required format is YYYY-MM-DD HH:MM[:SS[.SSSSSS]]"
        case .date: return "Invalid date: '\(shown)' Field: \(location)"
        case .datetime: return "Invalid datetime string \"\(shown)\" Field: \(location)"
        case .time: return "Invalid time string \"\(shown)\" Field: \(location)"
        case .numeric, .bignumeric: return "Invalid \(type.rawValue) value: \(shown) Field: \(location)"
        case .bytes: return "Could not decode base64 string to bytes. Field: \(location); Value: \(shown)"
        case .geography: return "Invalid geography value: \(shown) Field: \(location)"
        case .json: return "Invalid JSON value: \(shown) Field: \(location)"
        case .record: return "This field: \(location) is a record, but the value is not an object."
        case .range: return "Invalid RANGE value: \(shown) Field: \(location)"
        }
    }
}
