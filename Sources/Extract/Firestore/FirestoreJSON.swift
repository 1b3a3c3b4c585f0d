internal import JSONBytes

/// JSON of requests to Firestore.
typealias FirestoreJSON = JSONValue

extension JSONValue {
    /// An object with these members, in this order.
    init(_ members: [(String, JSONValue)]) { self = .object(members.map { JSONMember($0.0, $0.1) }) }
}

/// Builds structured queries (protocol facts: A.6).
struct FirestoreQuery {
    var collection: FirestoreCollection
    var conditions: [FirestoreJSON] = []
    var order: [FirestoreJSON] = []
    var startAfter: [FirestoreJSON] = []
    /// Begins with what stands at these values, themselves included.
    var startAt: [FirestoreJSON] = []
    /// Ends before what stands at these values.
    var endBefore: [FirestoreJSON] = []
    var limit: Int?
    /// Every collection of the name, at any depth (`partitionQuery` takes nothing else).
    var selectsGroup = false
    /// Only documents' names and times.
    var isKeysOnly = false
    /// Only these fields; nil for all.
    var fields: [String]?

    init(_ collection: FirestoreCollection) { self.collection = collection }

    mutating func filter(_ field: String, _ comparison: String, _ value: FirestoreJSON) {
        conditions.append(
            .init([
                (
                    "fieldFilter",
                    .init([("field", Self.path(field)), ("op", .string(comparison)), ("value", value)])
                )
            ]))
    }

    mutating func order(by field: String, descending: Bool = false) {
        order.append(
            .init([("field", Self.path(field)), ("direction", .string(descending ? "DESCENDING" : "ASCENDING"))]))
    }

    mutating func orderByName() {
        order.append(
            .init([("field", .init([("fieldPath", .string("__name__"))])), ("direction", .string("ASCENDING"))]))
    }

    var json: FirestoreJSON {
        var members: [(String, FirestoreJSON)] = [("from", collection.selector(asGroup: selectsGroup))]
        if isKeysOnly {
            members.append(("select", .init([("fields", .array([.init([("fieldPath", .string("__name__"))])]))])))
        } else if let fields {
            members.append(("select", .init([("fields", .array(fields.map(Self.path)))])))
        }
        if conditions.count == 1 {
            members.append(("where", conditions[0]))
        } else if conditions.count > 1 {
            members.append(
                (
                    "where",
                    .init([("compositeFilter", .init([("op", .string("AND")), ("filters", .array(conditions))]))])
                ))
        }
        if !order.isEmpty { members.append(("orderBy", .array(order))) }
        if !startAfter.isEmpty {
            members.append(("startAt", .init([("values", .array(startAfter)), ("before", .bool(false))])))
        } else if !startAt.isEmpty {
            members.append(("startAt", .init([("values", .array(startAt)), ("before", .bool(true))])))
        }
        if !endBefore.isEmpty {
            members.append(("endAt", .init([("values", .array(endBefore)), ("before", .bool(true))])))
        }
        if let limit { members.append(("limit", .number(String(limit)))) }
        return .init(members)
    }

    static func path(_ field: String) -> FirestoreJSON { .init([("fieldPath", .string(quoted(field)))]) }

    /// A field's name as a path of one segment; what is no simple name is back-quoted (protocol facts: A.4).
    static func quoted(_ field: String) -> String {
        let isSimple = field.utf8.enumerated().allSatisfy { index, byte in
            byte | 0x20 >= 0x61 && byte | 0x20 <= 0x7A || byte == UInt8(ascii: "_")
                || index > 0 && byte >= 0x30 && byte <= 0x39
        }
        if isSimple, !field.isEmpty { return field }
        return field.backQuoted
    }
}
