internal import JSONBytes
internal import Spool

/// What a watermark column's values are, by how they order.
enum SQLWatermarkClass: String, Sendable {
    case number
    case float
    case text
    case date
    case datetime
    case timestamp

    /// Nil for a type whose values can't be a watermark.
    init?(_ type: SQLType) {
        switch type {
        case .integer, .unsigned, .decimal: self = .number
        case .float32, .float64: self = .float
        case .text: self = .text
        case .date: self = .date
        case .datetime: self = .datetime
        case .timestamp: self = .timestamp
        default: return nil
        }
    }

    var isTime: Bool { self == .date || self == .datetime || self == .timestamp }
}

/// A value of the watermark column.
struct SQLWatermarkValue: Equatable {
    var kind: SQLWatermarkClass
    /// The row's form where it has one, else the server's.
    var text: String
    /// Bytes that sort like the value.
    var sortKey: [UInt8]

    /// Nil if the text is no value of the class.
    init?(_ text: String, _ kind: SQLWatermarkClass) {
        self.kind = kind
        self.text = text
        switch kind {
        case .number:
            // PostgreSQL's numeric has one value before all numbers, whose keys have a second byte.
            guard let key = text == "-Infinity" ? [0] : Array(text.utf8).withUnsafeBytes({ DecimalText.sortKey($0) })
            else { return nil }
            sortKey = key
        case .float:
            guard let double = Double(text), !double.isNaN else { return nil }
            // Adding zero makes -0.0 and 0.0 one value, as servers compare them.
            let bits = (double + 0.0).bitPattern
            sortKey = Self.bigEndian(bits >> 63 == 1 ? ~bits : bits | 1 << 63)
        case .text: sortKey = Array(text.utf8)
        case .date, .datetime, .timestamp:
            guard let moment = CivilText.microseconds(text) else { return nil }
            sortKey = Self.bigEndian(UInt64(bitPattern: moment) ^ 1 << 63)
        }
    }

    private static func bigEndian(_ value: UInt64) -> [UInt8] {
        stride(from: 56, through: 0, by: -8).map { UInt8(truncatingIfNeeded: value >> UInt64($0)) }
    }

    /// The value of a cell in the row's form.
    static func form(_ text: String, _ kind: SQLWatermarkClass) -> String {
        guard kind == .datetime || kind == .timestamp, let moment = CivilText.microseconds(text),
            moment >= Timestamp.minimum.microseconds, moment <= Timestamp.maximum.microseconds
        else { return text }
        let form = Timestamp(microseconds: moment).description
        return kind == .timestamp ? form : String(form.dropLast())
    }

    /// This value less the lookback: where the next run begins.
    func minus(_ lookback: Lookback?) -> SQLWatermarkValue {
        switch (kind, lookback) {
        case (.timestamp, .duration(let duration)), (.datetime, .duration(let duration)),
            (.date, .duration(let duration)):
            return moved(back: duration)
        case (.timestamp, nil), (.datetime, nil), (.date, nil): return moved(back: .seconds(300))
        case (.number, .number(let number)):
            // Whole numbers; of a decimal the part in front of the point, which begins the window a little earlier.
            let isWhole = !text.contains(".")
            let whole = text.prefix { $0 != "." }
            guard number != 0, let value = Int64(whole), let step = Int64(exactly: number.rounded(.up)) else {
                return self
            }
            let (less, overflowed) = value.subtractingReportingOverflow(isWhole ? step : step + 1)
            return SQLWatermarkValue(String(overflowed ? .min : less), kind) ?? self
        case (.float, .number(let number)):
            guard let value = Double(text) else { return self }
            return SQLWatermarkValue((value - number).description, kind) ?? self
        default: return self
        }
    }

    private func moved(back duration: Duration) -> SQLWatermarkValue {
        guard let moment = CivilText.microseconds(text), moment > Timestamp.minimum.microseconds,
            moment <= Timestamp.maximum.microseconds
        else { return self }
        var earlier = max(.minimum, Timestamp(microseconds: moment).advanced(by: .zero - duration))
        let form: String
        switch kind {
        case .timestamp: form = earlier.description
        case .datetime: form = String(earlier.description.dropLast())
        default:
            // The first day that begins within the window.
            let day: Int64 = 86_400_000_000
            let rest = ((earlier.microseconds % day) + day) % day
            if rest > 0 { earlier.microseconds += day - rest }
            form = String(earlier.description.prefix(10))
        }
        return SQLWatermarkValue(form, kind) ?? self
    }

    /// A value of the operator's choice, of the class that the stream is known to have, else of what the text looks like.
    static func watermark(_ text: String, notes: String?) -> Watermark? {
        let known = notes.flatMap { try? JSONValue(parsing: $0) }?["class"]?.stringValue
        let candidates = known.flatMap(SQLWatermarkClass.init(rawValue:)).map { [$0] } ?? [.timestamp, .number, .text]
        for kind in candidates {
            if let value = SQLWatermarkValue(form(text, kind), kind) {
                return Watermark(value: value.text, key: nil, sortKey: value.sortKey)
            }
        }
        return nil
    }
}
