internal import JSONBytes

/// The rules for a table's definition: partitioning, clustering, labels, names.
enum TableRules {
    /// Every member must be one that the Table resource has.
    static func checkNames(_ resource: JSONValue, settable: Set<String>, outputOnly: Set<String>) throws(APIError) {
        guard let members = resource.objectValue else {
            throw .badRequest("Invalid JSON payload received: an object is needed.")
        }
        for member in members where !settable.contains(member.name) && !outputOnly.contains(member.name) {
            throw .unknownName(member.name, at: "")
        }
    }

    /// Tables page: Unicode letters, marks, numbers, connectors, dashes and spaces, at most 1,024 bytes of UTF-8.
    static func checkTableID(_ name: String) throws(APIError) {
        let isAllowed = name.unicodeScalars.allSatisfy { scalar in
            switch scalar.properties.generalCategory {
            case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter, .nonspacingMark,
                .spacingMark, .enclosingMark, .decimalNumber, .letterNumber, .otherNumber, .connectorPunctuation,
                .dashPunctuation, .spaceSeparator:
                true
            default: false
            }
        }
        guard isAllowed, !name.isEmpty, name.utf8.count <= 1024 else {
            throw .invalid(
                "Invalid table ID \"\(name)\". Table IDs must be alphanumeric (plus underscores) and must be at most 1024 characters long. Also, Table decorators cannot be used."
            )
        }
    }

    static func checkDatasetID(_ name: String) throws(APIError) {
        let isAllowed = name.unicodeScalars.allSatisfy {
            switch $0 {
            case "a"..."z", "A"..."Z", "0"..."9", "_": true
            default: false
            }
        }
        guard isAllowed, !name.isEmpty, name.utf8.count <= 1024 else {
            throw .invalid(
                "Invalid dataset ID \"\(name)\". Dataset IDs must be alphanumeric (plus underscores) and must be at most 1024 characters long."
            )
        }
    }

    static func checkLabels(_ labels: JSONValue?) throws(APIError) {
        guard let labels, !labels.isNull else { return }
        guard let members = labels.objectValue else { throw .badRequest("Invalid value at 'labels'") }
        for member in members {
            guard let value = member.value.stringValue, isLabel(member.name, isKey: true), isLabel(value, isKey: false)
            else { throw .invalid("Invalid label: \"\(member.name)\": \(member.value.text)") }
        }
    }

    private static func isLabel(_ text: String, isKey: Bool) -> Bool {
        let scalars = text.unicodeScalars
        guard scalars.count <= 63, !isKey || scalars.first?.properties.isLowercase ?? false else { return false }
        return scalars.allSatisfy {
            $0 == "_" || $0 == "-" || ("0"..."9").contains($0)
                || ($0.properties.isAlphabetic && !$0.properties.isUppercase)
        }
    }

    // MARK: Partitioning and clustering

    static func checkStorage(_ record: TableRecord) throws(APIError) {
        let fields = record.fields
        if let description = record["description"]?.stringValue, description.unicodeScalars.count > 16_384 {
            throw .invalid("The table's description is too long. The maximum length is 16384 characters.")
        }
        try checkLabels(record["labels"])
        if record["timePartitioning"] != nil, record["rangePartitioning"] != nil {
            throw .invalid("Cannot specify both timePartitioning and rangePartitioning.")
        }
        if let partitioning = record["timePartitioning"] { try checkTime(partitioning, fields) }
        if let partitioning = record["rangePartitioning"] { try checkRange(partitioning, fields) }
        if let clustering = record["clustering"] { try checkClustering(clustering, fields) }
    }

    private static func field(_ name: String, _ fields: [FieldSchema]) -> FieldSchema? {
        fields.first { $0.name.lowercased() == name.lowercased() }
    }

    private static func checkTime(_ partitioning: JSONValue, _ fields: [FieldSchema]) throws(APIError) {
        let known: Set = ["type", "field", "expirationMs", "requirePartitionFilter"]
        for member in partitioning.objectValue ?? [] where !known.contains(member.name) {
            throw .unknownName(member.name, at: "table.time_partitioning")
        }
        guard let kind = partitioning["type"]?.stringValue, ["DAY", "HOUR", "MONTH", "YEAR"].contains(kind) else {
            throw .invalid("Invalid value for timePartitioning.type: DAY, HOUR, MONTH or YEAR is needed.")
        }
        if let expiration = partitioning["expirationMs"], (expiration.intValue ?? 0) <= 0 {
            throw .invalid("Invalid value for timePartitioning.expirationMs")
        }
        guard let name = partitioning["field"]?.stringValue else { return }
        guard let field = field(name, fields) else {
            throw .invalid("The field specified for partitioning cannot be found in the schema. Field: \(name).")
        }
        let allowed: [FieldType] = kind == "HOUR" ? [.timestamp, .datetime] : [.timestamp, .date, .datetime]
        guard allowed.contains(field.type) else {
            throw .invalid(
                "The field specified for time partitioning can only be of type TIMESTAMP, DATE or DATETIME. The type found is: \(field.type.rawValue)."
            )
        }
        guard field.mode != .repeated else {
            throw .invalid("The field specified for partitioning cannot be a repeated field. Field: \(name).")
        }
    }

    private static func checkRange(_ partitioning: JSONValue, _ fields: [FieldSchema]) throws(APIError) {
        guard let name = partitioning["field"]?.stringValue, let field = field(name, fields), field.type == .integer,
            field.mode != .repeated
        else { throw .invalid("rangePartitioning.field must be a top-level INTEGER column.") }
        let range = partitioning["range"]
        guard let start = range?["start"]?.intValue, let end = range?["end"]?.intValue,
            let interval = range?["interval"]?.intValue, start < end, interval > 0
        else { throw .invalid("Invalid value for rangePartitioning.range") }
    }

    private static func checkClustering(_ clustering: JSONValue, _ fields: [FieldSchema]) throws(APIError) {
        guard let names = clustering["fields"]?.arrayValue, !names.isEmpty else {
            throw .invalid("Clustering needs at least one field.")
        }
        if names.count > 4 { throw .invalid("Too many clustering fields: \(names.count). The maximum is 4.") }
        var seen: Set<String> = []
        for name in names.map({ $0.stringValue ?? "" }) {
            guard seen.insert(name.lowercased()).inserted else {
                throw .invalid("Duplicate clustering field: \(name).")
            }
            guard let field = field(name, fields) else {
                throw .invalid(
                    "The field specified for clustering cannot be found in the schema. Invalid field: \(name).")
            }
            switch field.type {
            case .float, .bytes, .json, .time, .record:
                throw .invalid("Field \(name) of type \(field.type.rawValue) is not allowed for clustering.")
            default: break
            }
            guard field.mode != .repeated else {
                throw .invalid("Repeated field \(name) is not allowed for clustering.")
            }
        }
    }

    // MARK: Changes

    /// What may not change once the table exists.
    static func checkChange(from old: TableRecord, to new: TableRecord) throws(APIError) {
        let fixed = ["type", "field"]
        let oldTime = old["timePartitioning"]
        let newTime = new["timePartitioning"]
        let sameTime = fixed.allSatisfy { oldTime?[$0] == newTime?[$0] } && (oldTime == nil) == (newTime == nil)
        guard sameTime, old["rangePartitioning"] == new["rangePartitioning"] else {
            throw .invalid("Cannot change partitioning spec for a partitioned/clustered table.")
        }
        if old.isView != new.isView { throw .invalid("Cannot change the type of \(old.key.legacyName).") }
    }
}
