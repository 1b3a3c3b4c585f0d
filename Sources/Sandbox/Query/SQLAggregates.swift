/// Where aggregate functions stand in an expression.
enum SQLAggregates {
    static let names: Set<String> = [
        "COUNT", "COUNTIF", "SUM", "AVG", "MIN", "MAX", "ANY_VALUE", "STRING_AGG", "ARRAY_AGG",
        "APPROX_COUNT_DISTINCT", "LOGICAL_AND", "LOGICAL_OR",
    ]

    /// Whether an aggregate is in it that is no window function.
    static func contains(_ expression: SQLExpression) -> Bool {
        if case .call(let call) = expression, names.contains(call.name), call.window == nil { return true }
        return children(expression).contains(where: contains)
    }

    /// The first column outside of aggregates that no grouping key covers.
    static func ungrouped(_ expression: SQLExpression, _ keys: [SQLExpression]) -> (String, SQLPosition)? {
        if keys.contains(expression) { return nil }
        if case .call(let call) = expression, names.contains(call.name), call.window == nil { return nil }
        if case .name(let path, let position) = expression {
            // `t.a` and `a` may be the same column.
            let isGrouped = keys.contains {
                guard case .name(let key, _) = $0 else { return false }
                return key.last?.lowercased() == path.last?.lowercased()
            }
            return isGrouped ? nil : (path.count > 1 ? path[1] : path[0], position)
        }
        for child in children(expression) {
            if let found = ungrouped(child, keys) { return found }
        }
        return nil
    }

    /// Whether a column of the name is in it.
    static func mentions(_ name: String, in expression: SQLExpression) -> Bool {
        if case .name(let path, _) = expression, path.last?.lowercased() == name.lowercased() { return true }
        return children(expression).contains { mentions(name, in: $0) }
    }

    private static func children(_ expression: SQLExpression) -> [SQLExpression] {
        switch expression {
        case .unary(_, let inner), .isNull(let inner), .isBoolean(let inner, _), .cast(let inner, _, _, _),
            .interval(let inner, _), .member(let inner, _, _), .inQuery(let inner, _, _):
            [inner]
        case .binary(_, let left, let right, _), .inUnnest(let left, let right, _), .like(let left, let right, _):
            [left, right]
        case .between(let value, let low, let high, _): [value, low, high]
        case .inList(let value, let items, _): [value] + items
        case .branches(let operand, let branches, let otherwise, _):
            [operand, otherwise].compactMap { $0 } + branches.flatMap { [$0.condition, $0.result] }
        case .call(let call):
            call.arguments + (call.window.map { $0.partition + $0.ordering.map(\.expression) } ?? [])
        case .array(let items): items
        default: []
        }
    }
}
