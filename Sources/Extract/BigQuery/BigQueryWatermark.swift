internal import JSONBytes
internal import Spool

/// A value of the watermark column, in the form in which it is kept and compared.
struct BigQueryWatermark: Sendable, Equatable {
    /// Column types that order in a way a watermark can follow.
    static let kinds: Set<BigQueryField.Kind> = [
        .int64, .float64, .numeric, .bignumeric, .string, .date, .datetime, .timestamp,
    ]

    static func isTime(_ kind: BigQueryField.Kind) -> Bool { kind == .date || kind == .datetime || kind == .timestamp }

    let kind: BigQueryField.Kind
    /// As in a row: `2025-11-25T14:57:57.425Z`, `12`, `1.10`.
    let text: String
    /// Bytes that sort like the values.
    let sortKey: [UInt8]

    /// From the text of a row, or of the stream's kept watermark. Nil for a text that is no value of the type.
    init?(_ text: String, _ kind: BigQueryField.Kind) {
        self.kind = kind
        switch kind {
        case .timestamp:
            // A row's text on the wire is a number of microseconds.
            let moment = Int64(text).map(Timestamp.init(microseconds:)) ?? Timestamp(rfc3339: text)
            guard let moment else { return nil }
            self.text = moment.description
            sortKey = Self.bigEndian(UInt64(bitPattern: moment.microseconds) ^ 1 << 63)
        case .datetime:
            let isoText = text.replacing(" ", with: "T", maxReplacements: 1)
            guard let moment = Timestamp(rfc3339: isoText, zoneIsOptional: true), text.utf8.last != UInt8(ascii: "Z")
            else { return nil }
            self.text = String(moment.description.dropLast())
            sortKey = Self.bigEndian(UInt64(bitPattern: moment.microseconds) ^ 1 << 63)
        case .date:
            guard text.utf8.count == 10, let moment = Timestamp(rfc3339: text + "T00:00:00Z") else { return nil }
            self.text = text
            sortKey = Self.bigEndian(UInt64(bitPattern: moment.microseconds) ^ 1 << 63)
        case .int64:
            guard let value = Int64(text) else { return nil }
            self.text = String(value)
            sortKey = Self.bigEndian(UInt64(bitPattern: value) ^ 1 << 63)
        case .float64:
            guard let value = Double(text), !value.isNaN else { return nil }
            self.text = value.description
            // Adding zero makes -0.0 and 0.0 one value, as they compare.
            let bits = (value + 0.0).bitPattern
            sortKey = Self.bigEndian(bits >> 63 == 1 ? ~bits : bits | 1 << 63)
        case .numeric, .bignumeric:
            guard let key = Array(text.utf8).withUnsafeBytes(DecimalText.sortKey) else { return nil }
            self.text = text
            sortKey = key
        case .string:
            self.text = text
            sortKey = Array(text.utf8)
        default:
            return nil
        }
    }

    private static func bigEndian(_ value: UInt64) -> [UInt8] {
        stride(from: 56, through: 0, by: -8).map { UInt8(truncatingIfNeeded: value >> UInt64($0)) }
    }

    /// The greatest value that is not later than now; for types without a zone, now is 14 hours later: the earliest place on earth.
    static func now(_ now: Timestamp, _ kind: BigQueryField.Kind) -> BigQueryWatermark? {
        let earliest = now.advanced(by: .seconds(14 * 3600))
        return switch kind {
        case .timestamp: BigQueryWatermark(now.description, kind)
        case .datetime: BigQueryWatermark(String(earliest.description.dropLast()), kind)
        case .date: BigQueryWatermark(String(earliest.description.prefix(10)), kind)
        default: nil
        }
    }

    /// This value less the lookback: where the next run begins. Rather further back than asked for, where the type is coarse.
    func minus(_ lookback: Lookback?) -> BigQueryWatermark {
        switch (kind, lookback) {
        case (.timestamp, .duration(let duration)?): return moved(by: duration)
        case (.timestamp, nil), (.datetime, nil), (.date, nil): return moved(by: .seconds(300))
        case (.datetime, .duration(let duration)?), (.date, .duration(let duration)?): return moved(by: duration)
        case (.int64, .number(let number)?):
            guard let value = Int64(text), let distance = Int64(exactly: number.rounded(.up)) else { return self }
            let (difference, overflowed) = value.subtractingReportingOverflow(distance)
            return BigQueryWatermark(String(overflowed ? .min : difference), kind) ?? self
        case (.float64, .number(let number)?):
            return BigQueryWatermark(((Double(text) ?? 0) - number).description, kind) ?? self
        case (.numeric, .number(let number)?), (.bignumeric, .number(let number)?):
            // Whole numbers below both: exact decimals need no exact lookback.
            guard let value = Double(text), value.magnitude < 1e15, number < 1e15 else { return self }
            let lower = (value - number).rounded(.down) - 1
            return BigQueryWatermark(String(Int64(lower)), kind) ?? self
        default: return self
        }
    }

    private func moved(by duration: Duration) -> BigQueryWatermark {
        guard duration > .zero else { return self }
        let zoned = kind == .timestamp ? text : kind == .datetime ? text + "Z" : text + "T00:00:00Z"
        guard let moment = Timestamp(rfc3339: zoned) else { return self }
        let earlier = max(.minimum, moment.advanced(by: .zero - duration)).description
        let short =
            kind == .timestamp ? earlier : kind == .datetime ? String(earlier.dropLast()) : String(earlier.prefix(10))
        return BigQueryWatermark(short, kind) ?? self
    }

    /// The value as a named parameter.
    func parameter(_ name: String) -> BigQueryQuery.Parameter {
        BigQueryQuery.Parameter(
            name: name, type: kind.rawValue,
            value: kind == .timestamp ? text.replacing("T", with: " ").replacing("Z", with: "+00:00") : text)
    }
}
