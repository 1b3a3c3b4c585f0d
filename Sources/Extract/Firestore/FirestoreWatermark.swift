internal import JSONBytes
internal import Spool

/// The types a watermark field may have; a query sees only one of them (protocol facts: A.7).
enum WatermarkClass: String, Sendable {
    case timestamp
    case number
    case string

    /// Of a pinned BigQuery type.
    init?(pinned type: String) {
        switch type {
        case "TIMESTAMP": self = .timestamp
        case "INT64", "FLOAT64", "NUMERIC", "BIGNUMERIC": self = .number
        case "STRING": self = .string
        default: return nil
        }
    }

    /// True for values that a query of this class can see.
    func includes(_ value: FirestoreNormalizer.WatchedValue) -> Bool {
        switch (self, value) {
        case (.timestamp, .timestamp), (.number, .integer), (.string, .string): true
        case (.number, .double(let double)): !double.isNaN && double < .infinity
        default: false
        }
    }

    /// The least value of the class: what is not at or after it is of another type.
    var least: FirestoreJSON {
        switch self {
        case .timestamp: .init([("timestampValue", .string(Timestamp.minimum.description))])
        case .number: .init([("doubleValue", .string("-Infinity"))])
        case .string: .init([("stringValue", .string(""))])
        }
    }

    /// What all values lie before that a watermark can follow: beyond infinity none could ever be found. Nil where it can follow all.
    var limit: FirestoreJSON? {
        self == .number ? .init([("doubleValue", .string("Infinity"))]) : nil
    }
}

/// A value of the watermark field.
struct WatermarkValue: Equatable {
    var value: FirestoreNormalizer.WatchedValue

    init(_ value: FirestoreNormalizer.WatchedValue) { self.value = value }

    /// Five minutes back: transactions may live 270 s (quotas page).
    private static let defaultLookback = Duration.seconds(-300)

    /// From the text kept as the stream's watermark. Nil if the text is no value of the class.
    init?(text: String, class kind: WatermarkClass) {
        switch kind {
        case .timestamp:
            guard let moment = Timestamp(rfc3339: text) else { return nil }
            value = .timestamp(moment)
        case .number:
            if let integer = Int64(text) {
                value = .integer(integer)
            } else if let double = Double(text), !double.isNaN {
                value = .double(double)
            } else {
                return nil
            }
        case .string:
            value = .string(Array(text.utf8))
        }
    }

    var text: String {
        switch value {
        case .timestamp(let moment): moment.description
        case .integer(let integer): String(integer)
        case .double(let double): double.description
        case .string(let bytes): String(decoding: bytes, as: UTF8.self)
        case .other: ""
        }
    }

    var json: FirestoreJSON {
        switch value {
        case .timestamp(let moment): .init([("timestampValue", .string(moment.description))])
        case .integer(let integer): .init([("integerValue", .string(String(integer)))])
        case .double(let double):
            double.isFinite
                ? .init([("doubleValue", .number(double.description))])
                : .init([("doubleValue", .string(double < 0 ? "-Infinity" : "Infinity"))])
        case .string(let bytes): .init([("stringValue", .string(String(decoding: bytes, as: UTF8.self)))])
        case .other: .init([("nullValue", .null)])
        }
    }

    /// Bytes that sort like the values of one class.
    var sortKey: [UInt8] {
        func bigEndian(_ value: UInt64) -> [UInt8] {
            stride(from: 56, through: 0, by: -8).map { UInt8(truncatingIfNeeded: value >> UInt64($0)) }
        }
        func ordered(_ double: Double) -> [UInt8] {
            // Adding zero makes -0.0 and 0.0 one value, as Firestore compares them.
            let bits = (double + 0.0).bitPattern
            return bigEndian(bits >> 63 == 1 ? ~bits : bits | 1 << 63)
        }
        switch value {
        case .timestamp(let moment): return bigEndian(UInt64(bitPattern: moment.microseconds) ^ 1 << 63)
        case .integer(let integer): return ordered(Double(integer))
        case .double(let double): return ordered(double)
        case .string(let bytes): return bytes
        case .other: return []
        }
    }

    /// This value less the lookback: where the next run begins. A lookback that is none for the value's class counts as none.
    func minus(_ lookback: Lookback?) -> WatermarkValue {
        switch (value, lookback) {
        case (.timestamp(let moment), .duration(let duration)):
            return WatermarkValue(.timestamp(max(.minimum, moment.advanced(by: .zero - duration))))
        case (.timestamp(let moment), nil):
            return WatermarkValue(.timestamp(max(.minimum, moment.advanced(by: Self.defaultLookback))))
        case (.integer(let integer), .number(let number)):
            guard let step = Int64(exactly: number.rounded(.up)) else {
                return WatermarkValue(.double(Double(integer) - number))
            }
            let (difference, overflowed) = integer.subtractingReportingOverflow(step)
            return WatermarkValue(.integer(overflowed ? .min : difference))
        case (.double(let double), .number(let number)):
            return WatermarkValue(.double(double - number))
        default:
            return self
        }
    }
}
