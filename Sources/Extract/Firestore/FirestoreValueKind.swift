internal import JSONBytes

/// Which of its types a value of Firestore has: the name of its one member (protocol facts: A.3).
enum FirestoreValueKind {
    case null
    case boolean
    case integer
    case double
    case timestamp
    case string
    case bytes
    case reference
    case geoPoint
    case array
    case map

    /// Nil for a name that is none of them. The first byte decides which names are compared at all.
    @inline(__always)
    init?(_ name: JSONStringToken, _ reader: JSONReader) {
        guard name.end > name.start else { return nil }
        switch reader.base[name.start] {
        case UInt8(ascii: "s") where reader.matches(name, "stringValue"): self = .string
        case UInt8(ascii: "i") where reader.matches(name, "integerValue"): self = .integer
        case UInt8(ascii: "t") where reader.matches(name, "timestampValue"): self = .timestamp
        case UInt8(ascii: "m") where reader.matches(name, "mapValue"): self = .map
        case UInt8(ascii: "d") where reader.matches(name, "doubleValue"): self = .double
        case UInt8(ascii: "n") where reader.matches(name, "nullValue"): self = .null
        case UInt8(ascii: "a") where reader.matches(name, "arrayValue"): self = .array
        case UInt8(ascii: "r") where reader.matches(name, "referenceValue"): self = .reference
        case UInt8(ascii: "g") where reader.matches(name, "geoPointValue"): self = .geoPoint
        case UInt8(ascii: "b"):
            if reader.matches(name, "booleanValue") {
                self = .boolean
            } else if reader.matches(name, "bytesValue") {
                self = .bytes
            } else {
                return nil
            }
        default: return nil
        }
    }
}
