internal import JSONBytes

/// Reads a TableSchema resource by the rules of the schemas and quotas pages.
struct SchemaParser {
    /// Whether flexible column names (schemas page) are taken, or only the rule that the API reference states.
    var allowsFlexibleNames = false

    private static let known: Set<String> = [
        "name", "type", "mode", "fields", "description", "policyTags", "dataPolicies", "nameAlternative",
        "maxLength", "precision", "scale", "timestampPrecision", "roundingMode", "collation",
        "defaultValueExpression", "rangeElementType", "foreignTypeDefinition", "categories", "generatedColumn",
    ]
    /// Quotas page: columns in a table, with nested ones; levels of nesting.
    static let maximumColumns = 10_000
    static let maximumDepth = 15

    func parse(_ schema: JSONValue) throws(APIError) -> [FieldSchema] {
        guard let members = schema.objectValue else {
            throw .badRequest("Invalid value at 'schema': an object is needed.")
        }
        for member in members where !["fields", "foreignTypeInfo"].contains(member.name) {
            throw .unknownName(member.name, at: "schema")
        }
        let fields = try parse(fields: schema["fields"] ?? [], path: "schema.fields")
        let count = fields.reduce(0) { $0 + $1.columnCount }
        if count > Self.maximumColumns {
            throw .invalid("Too many total leaf fields: \(count), max allowed field count: \(Self.maximumColumns)")
        }
        if let deepest = fields.map(\.depth).max(), deepest > Self.maximumDepth + 1 {
            throw .invalid("Schema nesting is too deep: at most \(Self.maximumDepth) levels are allowed.")
        }
        return fields
    }

    private func parse(fields: JSONValue, path: String) throws(APIError) -> [FieldSchema] {
        guard let items = fields.arrayValue else {
            throw .badRequest("Invalid value at '\(path)': an array is needed.")
        }
        var result: [FieldSchema] = []
        var names: Set<String> = []
        for (index, item) in items.enumerated() {
            let field = try parse(field: item, path: "\(path)[\(index)]")
            guard names.insert(field.name.lowercased()).inserted else {
                throw .invalid("Field \(field.name) already exists in schema")
            }
            result.append(field)
        }
        return result
    }

    private func parse(field: JSONValue, path: String) throws(APIError) -> FieldSchema {
        guard let members = field.objectValue else {
            throw .badRequest("Invalid value at '\(path)': an object is needed.")
        }
        for member in members where !Self.known.contains(member.name) { throw .unknownName(member.name, at: path) }
        guard let name = field["name"]?.stringValue, !name.isEmpty else {
            throw .invalid("Field name is missing at '\(path)'.")
        }
        try check(name: name)
        guard let typeName = field["type"]?.stringValue else { throw .invalid("Field \(name) is missing a type.") }
        guard let type = FieldType(apiName: typeName) else {
            throw .invalid("Invalid value for type: \(typeName) is not a valid value")
        }
        var result = FieldSchema(name: name, type: type)
        if let mode = field["mode"], !mode.isNull {
            guard let text = mode.stringValue, let value = FieldMode(rawValue: text.uppercased()) else {
                throw .invalid("Invalid value for mode: \(mode.text) is not a valid value")
            }
            result.mode = value
        } else {
            result.hasMode = false
        }
        if type == .record {
            result.fields = try parse(fields: field["fields"] ?? [], path: "\(path).fields")
            if result.fields.isEmpty { throw .invalid("Field \(name) is type RECORD but has no schema") }
        } else if let nested = field["fields"]?.arrayValue, !nested.isEmpty {
            throw .invalid("Field \(name) is type \(type.rawValue) but has nested fields")
        }
        try parseParameters(of: field, into: &result)
        let shown: Set = ["name", "type", "mode", "fields", "maxLength", "precision", "scale"]
        result.others = members.filter { !shown.contains($0.name) && !$0.value.isNull }
        if let description = field["description"]?.stringValue, description.unicodeScalars.count > 1024 {
            throw .invalid("The description for field \(name) is too long. The maximum length is 1024 characters.")
        }
        return result
    }

    private func parseParameters(of field: JSONValue, into result: inout FieldSchema) throws(APIError) {
        func number(_ member: String) throws(APIError) -> Int? {
            guard let value = field[member], !value.isNull else { return nil }
            guard let number = value.intValue, number >= 0 else {
                throw .invalid("Invalid value for \(member) of field \(result.name)")
            }
            return Int(number)
        }
        result.maxLength = try number("maxLength")
        result.precision = try number("precision")
        result.scale = try number("scale")
        if result.maxLength != nil, result.type != .string, result.type != .bytes {
            throw .invalid("maxLength is not allowed for field \(result.name) of type \(result.type.rawValue)")
        }
        guard result.precision != nil || result.scale != nil else { return }
        let scale = result.scale ?? 0
        let limits: (integerDigits: Int, scale: Int)
        switch result.type {
        case .numeric: limits = (29, 9)
        case .bignumeric: limits = (38, 38)
        default: throw .invalid("precision is not allowed for field \(result.name) of type \(result.type.rawValue)")
        }
        guard let precision = result.precision else {
            throw .invalid("scale of field \(result.name) needs a precision")
        }
        guard scale <= limits.scale, precision >= max(1, scale), precision <= scale + limits.integerDigits else {
            throw .invalid("Invalid precision or scale for field \(result.name) of type \(result.type.rawValue)")
        }
    }

    private static let reservedPrefixes = [
        "_TABLE_", "_FILE_", "_PARTITION", "_ROW_TIMESTAMP", "__ROOT__", "_COLIDENTIFIER",
        "_CHANGE_SEQUENCE_NUMBER", "_CHANGE_TYPE", "_CHANGE_TIMESTAMP",
    ]

    private func check(name: String) throws(APIError) {
        let scalars = name.unicodeScalars
        let isStrict = scalars.enumerated().allSatisfy { index, scalar in
            switch scalar {
            case "a"..."z", "A"..."Z", "_": true
            case "0"..."9": index > 0
            default: false
            }
        }
        let isAllowed = isStrict || (allowsFlexibleNames && scalars.allSatisfy(Self.isFlexible))
        guard isAllowed, scalars.count <= 300 else {
            throw .invalid(
                "Invalid field name \"\(name)\". Fields must contain only letters, numbers, and underscores, start with a letter or underscore, and be at most 300 characters long."
            )
        }
        let upper = name.uppercased()
        if Self.reservedPrefixes.contains(where: upper.hasPrefix) {
            throw .invalid(
                "Invalid field name \"\(name)\". Field names are not allowed to start with the (case-insensitive) prefixes \(Self.reservedPrefixes.joined(separator: ", "))"
            )
        }
    }

    private static func isFlexible(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.properties.generalCategory {
        case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter, .decimalNumber,
            .letterNumber, .otherNumber, .nonspacingMark, .spacingMark, .enclosingMark, .connectorPunctuation,
            .dashPunctuation:
            true
        default: "&%=+:'<>#| ".unicodeScalars.contains(scalar)
        }
    }
}
