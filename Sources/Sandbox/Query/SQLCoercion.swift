/// Which types go together (conversion_rules page).
enum SQLCoercion {
    /// The type that both can become without a cast; nil if there is none.
    static func common(_ left: SQLType, _ right: SQLType) -> SQLType? {
        if left == right || right.type == nil { return left }
        if left.type == nil { return right }
        guard !left.isArray, !right.isArray, let first = left.type, let second = right.type else { return nil }
        let order: [FieldType] = [.integer, .numeric, .bignumeric, .float]
        if let one = order.firstIndex(of: first), let other = order.firstIndex(of: second) {
            return SQLType(order[max(one, other)])
        }
        let types: Set<FieldType> = [first, second]
        return types == [.date, .datetime] ? SQLType(.datetime) : nil
    }

    static func isOrderable(_ type: SQLType) -> Bool {
        guard !type.isArray else { return false }
        switch type.type {
        case .record, .json, .geography, .range: return false
        default: return true
        }
    }

    /// With the collation that decimals as text need.
    static func collated(_ expression: CompiledExpression) -> String {
        expression.type.isDecimal ? "\(expression.sql) COLLATE decimal" : expression.sql
    }

    /// The canonical stored form of a text in a type; nil if the text is none of its values.
    static func value(_ text: String, as type: FieldType) -> SQLValue? {
        text.withBytes { bytes -> SQLValue? in
            switch type {
            case .string: .text(text)
            case .timestamp: TimeTextCursor.timestamp(bytes).map { .integer($0) }
            case .date: TimeTextCursor.date(bytes).map { .text(CivilTime.dateText(days: $0)) }
            case .datetime: TimeTextCursor.datetime(bytes).map { .text(CivilTime.datetimeText(microseconds: $0)) }
            case .time: TimeTextCursor.time(bytes).map { .text(CivilTime.timeText(microseconds: $0)) }
            case .numeric:
                DecimalText(bytes).flatMap { $0.fitsNumeric(precision: nil, scale: nil) ? .text($0.text) : nil }
            case .bignumeric:
                DecimalText(bytes).flatMap { $0.fitsBignumeric(precision: nil, scale: nil) ? .text($0.text) : nil }
            case .integer: Int64(text).map { .integer($0) }
            case .float:
                (FloatText.special(text) ?? Double(text)).map { $0.isNaN ? .text("NaN") : .real($0) }
            case .boolean:
                switch text.lowercased() {
                case "true": .integer(1)
                case "false": .integer(0)
                default: nil
                }
            case .bytes: Base64.decode(bytes).map { .blob($0) }
            case .json: JSONColumnText.canonical(bytes).map { .text($0) }
            case .geography: GeographyText.isValid(bytes) ? .text(text) : nil
            case .record, .range: nil
            }
        }
    }
}
