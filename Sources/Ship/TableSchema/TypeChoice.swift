/// Chooses the type of a column that does not exist yet from what was spooled for it (contract section 5, "types that disagree").
enum TypeChoice {
    /// How many rows brought a value of a type.
    struct Votes: Sendable, Equatable {
        var counts: [SpooledType: Int] = [:]
        /// All values came from a source without types of its own.
        var isUntyped = true
        var pinned: ColumnType?

        mutating func add(_ column: ShapeColumn, rows: Int) {
            if column.isPinned, let type = column.type.columnType { pinned = type }
            guard column.type != .null else { return }
            counts[column.type, default: 0] += rows
            if !column.isUntyped { isUntyped = false }
        }
    }

    /// Nil when only nulls were seen: no column yet.
    static func choose(_ votes: Votes) -> ColumnType? {
        if let pinned = votes.pinned { return pinned }
        guard !votes.counts.isEmpty else { return nil }
        var byType: [ColumnType: Int] = [:]
        for (type, count) in votes.counts {
            if let column = type.columnType { byType[column, default: 0] += count }
        }
        if byType.count == 1, let only = byType.first { return only.key }
        if let all = typeThatHoldsAll(Set(byType.keys), hasLarge: votes.counts[.largeInt64] != nil) { return all }
        if votes.isUntyped { return .string }
        let most = byType.values.max() ?? 0
        let winners = byType.filter { $0.value == most }
        guard winners.count == 1, let winner = winners.first else { return .string }
        return winner.key
    }

    /// INT64 < NUMERIC < BIGNUMERIC, and INT64 < FLOAT64 while every integer is exact as a double.
    private static func typeThatHoldsAll(_ types: Set<ColumnType>, hasLarge: Bool) -> ColumnType? {
        if types.isSubset(of: [.int64, .numeric, .bignumeric]) {
            return types.contains(.bignumeric) ? .bignumeric : .numeric
        }
        if types == [.int64, .float64], !hasLarge { return .float64 }
        return nil
    }
}
