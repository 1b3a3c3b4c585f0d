internal import JSONBytes
internal import Spool

/// Writes Parquet values as the JSON of rows (contract section 4).
///
/// Not `Sendable`: one reader owns one, and its memory is reused.
final class ParquetValueWriter {
    /// A value whose column can't hold all of it: the text for `_rescued`.
    private(set) var rescued: [UInt8]?
    private let nestedType: ValueType
    private let compact = CompactJSON()
    private let scratch = ByteBuffer(capacity: 256)

    init(nestsAsJSON: Bool) { nestedType = nestsAsJSON ? .json : .jsonText }

    /// Writes the next value of a page.
    ///
    /// - Parameter isNested: inside of JSON text, where digits beyond microseconds are kept and nothing is rescued.
    func write(_ leaf: ParquetLeaf, _ values: PageValues, to target: ByteBuffer, isNested: Bool) throws -> ValueType {
        rescued = nil
        switch leaf.meaning {
        case .boolean:
            target.append(try values.nextBool() ? "true" : "false")
            return .bool
        case .integer(let isSigned, let bits):
            return try writeInteger(leaf.type, values, isSigned: isSigned, bits: bits, to: target)
        case .float:
            let value = try values.nextFloat()
            if value.isFinite { target.append(value.description) } else { writeSpecial(Double(value), to: target) }
            return .float64
        case .double: return write(try values.nextDouble(), to: target)
        case .float16:
            let bits = try values.nextBytes()
            guard bits.count == 2 else { throw PageBytes.cutOff }
            return write(Self.float16(UInt16(bits[0]) | UInt16(bits[1]) << 8), to: target)
        case .decimal(let scale, _): return try writeDecimal(leaf.type, values, scale: scale, to: target)
        case .date: return writeDate(Int64(try values.nextInt32()), to: target)
        case .time(let unit):
            let count = leaf.type == .int32 ? Int64(try values.nextInt32()) : try values.nextInt64()
            return writeTime(count, unit, to: target, isNested: isNested)
        case .timestamp(let unit, let isUTC):
            return writeTimestamp(try values.nextInt64(), unit, isUTC: isUTC, to: target, isNested: isNested)
        case .int96:
            return try writeInt96(try values.nextBytes(), to: target, isNested: isNested)
        case .string: return writeText(try values.nextBytes(), to: target)
        case .json: return writeJSON(try values.nextBytes(), to: target, isNested: isNested)
        case .bytes:
            target.append(UInt8(ascii: "\""))
            Base64.append(try values.nextBytes(), to: target)
            target.append(UInt8(ascii: "\""))
            return .bytes
        case .uuid: return writeUUID(try values.nextBytes(), to: target)
        case .interval: return writeInterval(try values.nextBytes(), to: target)
        case .nothing:
            throw BrokenObject(reason: "column \(leaf.name) holds values, although its type has none")
        }
    }

    /// A null in place of a value that its type can't hold; the text is kept.
    private func rescue(_ text: String, to target: ByteBuffer) -> ValueType {
        rescued = Array(text.utf8)
        target.append("null")
        return .null
    }

    // MARK: Numbers

    private func writeInteger(
        _ type: ParquetType, _ values: PageValues, isSigned: Bool, bits: Int, to target: ByteBuffer
    ) throws -> ValueType {
        if type == .int32 {
            let value = try values.nextInt32()
            return JSONNumber.write(isSigned ? Int64(value) : Int64(UInt32(bitPattern: value)), to: target)
        }
        let value = try values.nextInt64()
        if isSigned { return JSONNumber.write(value, to: target) }
        target.append("\"\(UInt64(bitPattern: value))\"")
        return .numeric
    }

    private func write(_ value: Double, to target: ByteBuffer) -> ValueType {
        if value.isFinite { target.append(value.description) } else { writeSpecial(value, to: target) }
        return .float64
    }

    private func writeSpecial(_ value: Double, to target: ByteBuffer) {
        target.append(value.isNaN ? "\"NaN\"" : value < 0 ? "\"-Infinity\"" : "\"Infinity\"")
    }

    /// IEEE 754 half precision; `Float16` is not there on every machine.
    static func float16(_ bits: UInt16) -> Double {
        let sign: Double = bits & 0x8000 == 0 ? 1 : -1
        let exponent = Int(bits >> 10 & 31)
        let fraction = Double(bits & 1023)
        switch exponent {
        case 0: return sign * fraction * Double(sign: .plus, exponent: -24, significand: 1)
        case 31: return fraction == 0 ? sign * .infinity : .nan
        default: return sign * (1024 + fraction) * Double(sign: .plus, exponent: exponent - 25, significand: 1)
        }
    }

    private func writeDecimal(
        _ type: ParquetType, _ values: PageValues, scale: Int, to target: ByteBuffer
    ) throws -> ValueType {
        let digits: String
        switch type {
        case .int32: digits = String(try values.nextInt32())
        case .int64: digits = String(try values.nextInt64())
        default: digits = try DecimalDigits.text(try values.nextBytes())
        }
        let isNegative = digits.hasPrefix("-")
        var magnitude = isNegative ? String(digits.dropFirst()) : digits
        if magnitude.utf8.count <= scale {
            magnitude = String(repeating: "0", count: scale + 1 - magnitude.utf8.count) + magnitude
        }
        let whole = magnitude.dropLast(scale)
        let text = (isNegative ? "-" : "") + whole + (scale > 0 ? "." + magnitude.suffix(scale) : "")
        // BigQuery's data types page: 29 and 9 digits before and behind the point, 38 and 38. Of longer ones the value decides.
        let isShort = whole.utf8.count <= 38 && scale <= 38
        guard isShort || Array(text.utf8).withUnsafeBytes(DecimalText.fitsBignumeric) else {
            return rescue(text, to: target)
        }
        target.append("\"\(text)\"")
        return whole.utf8.count <= 29 && scale <= 9 ? .numeric : .bignumeric
    }

    // MARK: Time

    private func writeDate(_ days: Int64, to target: ByteBuffer) -> ValueType {
        let (low, high) = (
            Timestamp.minimum.microseconds / 86_400_000_000, Timestamp.maximum.microseconds / 86_400_000_000
        )
        guard days >= low, days <= high else { return rescue("\(days)", to: target) }
        target.append(UInt8(ascii: "\""))
        target.append(Self.text(Timestamp(microseconds: days * 86_400_000_000)).prefix(10).description)
        target.append(UInt8(ascii: "\""))
        return .date
    }

    private func writeTime(_ count: Int64, _ unit: TimeUnit, to target: ByteBuffer, isNested: Bool) -> ValueType {
        guard count >= 0, count < 86_400 * unit.perSecond else { return rescue("\(count)", to: target) }
        let (seconds, fraction) = (count / unit.perSecond, count % unit.perSecond)
        let text = Self.text(Timestamp(microseconds: seconds * 1_000_000)).dropFirst(11).dropLast()
        write(String(text), nanos: fraction * (1_000_000_000 / unit.perSecond), suffix: "", to: target, isNested)
        return .time
    }

    private func writeTimestamp(
        _ count: Int64, _ unit: TimeUnit, isUTC: Bool, to target: ByteBuffer, isNested: Bool
    ) -> ValueType {
        var seconds = count / unit.perSecond
        var fraction = count % unit.perSecond
        if fraction < 0 {
            fraction += unit.perSecond
            seconds -= 1
        }
        return writeMoment(
            seconds, nanos: fraction * (1_000_000_000 / unit.perSecond), isUTC: isUTC, raw: "\(count)", to: target,
            isNested)
    }

    private func writeInt96(
        _ bytes: UnsafeRawBufferPointer, to target: ByteBuffer, isNested: Bool
    ) throws -> ValueType {
        guard bytes.count == 12 else { throw PageBytes.cutOff }
        let nanos = Int64(littleEndian: bytes.loadUnaligned(as: Int64.self))
        let julian = Int64(Int32(littleEndian: bytes.loadUnaligned(fromByteOffset: 8, as: Int32.self)))
        let (days, isValid) = (julian - 2_440_588, nanos >= 0 && nanos < 86_400_000_000_000)
        let raw = "\(julian) \(nanos)"
        guard isValid else { return rescue(raw, to: target) }
        return writeMoment(
            days * 86_400 + nanos / 1_000_000_000, nanos: nanos % 1_000_000_000, isUTC: true, raw: raw, to: target,
            isNested)
    }

    private func writeMoment(
        _ seconds: Int64, nanos: Int64, isUTC: Bool, raw: String, to target: ByteBuffer, _ isNested: Bool
    ) -> ValueType {
        guard seconds >= Timestamp.minimum.microseconds / 1_000_000,
            seconds <= Timestamp.maximum.microseconds / 1_000_000
        else { return rescue(raw, to: target) }
        let text = Self.text(Timestamp(microseconds: seconds * 1_000_000)).dropLast()
        write(String(text), nanos: nanos, suffix: isUTC ? "Z" : "", to: target, isNested)
        return isUTC ? .timestamp : .datetime
    }

    /// Writes a text of whole seconds with its fraction. Digits beyond microseconds are cut, the full text is rescued.
    private func write(_ whole: String, nanos: Int64, suffix: String, to target: ByteBuffer, _ isNested: Bool) {
        func text(_ fraction: Int64, digits: Int) -> String {
            guard fraction > 0 else { return whole + suffix }
            var padded = String(fraction)
            padded = String(repeating: "0", count: digits - padded.utf8.count) + padded
            while padded.hasSuffix("0") { padded.removeLast() }
            return whole + "." + padded + suffix
        }
        let isCut = nanos % 1000 != 0
        let full = text(nanos, digits: 9)
        if isCut, !isNested { rescued = Array(full.utf8) }
        target.append(UInt8(ascii: "\""))
        target.append(isCut && !isNested ? text(nanos / 1000, digits: 6) : full)
        target.append(UInt8(ascii: "\""))
    }

    private static func text(_ moment: Timestamp) -> String { moment.description }

    // MARK: Text

    private func writeText(_ text: UnsafeRawBufferPointer, to target: ByteBuffer) -> ValueType {
        guard isValidUTF8(text) else {
            scratch.removeAll()
            Base64.append(text, to: scratch)
            rescued = scratch.array
            target.append("null")
            return .null
        }
        target.appendJSONString(text)
        return .string
    }

    private func writeJSON(_ text: UnsafeRawBufferPointer, to target: ByteBuffer, isNested: Bool) -> ValueType {
        scratch.removeAll()
        do {
            try compact.append(text, to: scratch)
        } catch {
            // What calls itself JSON and is none is text.
            return writeText(text, to: target)
        }
        if isNested { target.append(scratch) } else { target.appendJSONString(scratch.bytes) }
        return nestedType
    }

    private func writeUUID(_ bytes: UnsafeRawBufferPointer, to target: ByteBuffer) -> ValueType {
        target.append(UInt8(ascii: "\""))
        for (index, byte) in bytes.enumerated() {
            if [4, 6, 8, 10].contains(index) { target.append(UInt8(ascii: "-")) }
            target.append(hexadecimal: [byte])
        }
        target.append(UInt8(ascii: "\""))
        return .string
    }

    /// ISO 8601: months, days and milliseconds are counted apart.
    private func writeInterval(_ bytes: UnsafeRawBufferPointer, to target: ByteBuffer) -> ValueType {
        func part(_ index: Int) -> UInt32 {
            UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: index * 4, as: UInt32.self))
        }
        let milliseconds = part(2)
        let rest = milliseconds % 1000
        var fraction = rest == 0 ? "" : "." + String(repeating: "0", count: 3 - String(rest).count) + String(rest)
        while fraction.hasSuffix("0") { fraction.removeLast() }
        target.append("\"P\(part(0))M\(part(1))DT\(milliseconds / 1000)\(fraction)S\"")
        return .string
    }
}

/// Whole numbers of any length in two's complement, the most significant byte first, as decimal text.
enum DecimalDigits {
    /// Longer ones are no decimals: 1000 digits take 416 bytes.
    private static let maximumBytes = 512

    static func text(_ bytes: UnsafeRawBufferPointer) throws -> String {
        guard bytes.count <= maximumBytes else { throw BrokenObject(reason: "a decimal has \(bytes.count) bytes") }
        guard let first = bytes.first else { return "0" }
        let isNegative = first & 0x80 != 0
        if bytes.count <= 8 {
            return String(bytes.reduce(isNegative ? Int64(-1) : 0) { $0 << 8 | Int64($1) })
        }
        var magnitude = [UInt8](bytes)
        if isNegative {
            var carry = true
            for index in magnitude.indices.reversed() {
                magnitude[index] = ~magnitude[index]
                if carry { (magnitude[index], carry) = magnitude[index].addingReportingOverflow(1) }
            }
        }
        // Nine digits at a time: the number is divided by 10^9 until nothing is left.
        var parts: [UInt32] = []
        while magnitude.contains(where: { $0 != 0 }) {
            var rest: UInt64 = 0
            for index in magnitude.indices {
                let value = rest << 8 | UInt64(magnitude[index])
                magnitude[index] = UInt8(value / 1_000_000_000)
                rest = value % 1_000_000_000
            }
            parts.append(UInt32(rest))
        }
        guard let highest = parts.last else { return "0" }
        let lower = parts.dropLast().reversed().map { part in
            String(repeating: "0", count: 9 - String(part).utf8.count) + String(part)
        }
        return (isNegative ? "-" : "") + String(highest) + lower.joined()
    }
}
