internal import JSONBytes

/// Checks one row after the other against a plan: every value against its column, every name, what is required.
///
/// One owner at a time. Errors of a row are kept with it; only malformed JSON is thrown.
struct RowChecker {
    let plan: RowPlan
    let result: CheckedRows
    /// What a time-partitioned table takes (streaming page), in microseconds since 1970.
    let partitionRange: ClosedRange<Int64>
    /// `project:dataset.table`, for messages.
    let tableName: String
    var errors: [FieldError] = []
    /// The last date or time that was read, for the partition check.
    var lastTime: Int64?

    /// Which column the n-th member of the last row was: rows of one request mostly have the same members in the same order.
    private var expected: [Int] = []
    /// The number of the row in which a column was last seen.
    private var seen: [Int]
    private var rowNumber = 0

    init(plan: RowPlan, result: CheckedRows, now: Int64, tableName: String) {
        self.plan = plan
        self.result = result
        self.tableName = tableName
        seen = Array(repeating: 0, count: plan.columns.count)
        partitionRange = (now - 3650 * CivilTime.microsecondsPerDay)...(now + 366 * CivilTime.microsecondsPerDay)
    }

    /// Reads the row's JSON object and appends its cells; returns where they are.
    mutating func checkRow(_ reader: inout JSONReader) throws(JSONSyntaxError) -> Range<Int> {
        let first = result.cells.count
        rowNumber += 1
        errors = []
        if try reader.enterObject() {
            var position = 0
            repeat {
                let key = try reader.readKey()
                if let column = column(of: key, at: position, reader: reader) {
                    if seen[column] == rowNumber {
                        try reader.skipValue()
                        fail(plan.columns[column].name, "Field \(plan.columns[column].name) is given more than once.")
                    } else {
                        seen[column] = rowNumber
                        try checkColumn(column, &reader)
                    }
                } else {
                    let name = reader.string(key)
                    try reader.skipValue()
                    errors.append(
                        FieldError(location: name, message: "no such field: \(name).", isUnknownField: true))
                }
                position += 1
            } while try reader.hasNextMember()
        }
        for column in plan.required where seen[column] != rowNumber {
            missing(plan.columns[column].name)
        }
        return first..<result.cells.count
    }

    mutating func fail(_ location: String, _ message: String) {
        errors.append(FieldError(location: location, message: message))
    }

    mutating func missing(_ location: String) { fail(location, "Missing required field: \(location).") }

    // MARK: Columns

    private mutating func column(of key: JSONStringToken, at position: Int, reader: JSONReader) -> Int? {
        let raw = reader.raw(key)
        if position < expected.count, key.isPlain {
            let guess = expected[position]
            if guess >= 0, raw.elementsEqual(plan.columns[guess].nameBytes) { return guess }
        }
        let found = plan.indexByName[reader.string(key).lowercased()]
        while expected.count <= position { expected.append(-1) }
        expected[position] = found ?? -1
        return found
    }

    private mutating func checkColumn(_ index: Int, _ reader: inout JSONReader) throws(JSONSyntaxError) {
        let column = plan.columns[index]
        if column.mode == .repeated || column.type == .record {
            let start = result.nested.count
            let isThere = try appendNested(column, at: column.name, &reader)
            if isThere {
                let reference = TextReference(source: .nested, start: start, count: result.nested.count - start)
                result.cells.append(CheckedCell(column: index, value: .text(reference)))
            }
            return
        }
        lastTime = nil
        guard let value = try scalar(column, at: column.name, &reader) else { return }
        if case .null = value {
            if column.mode == .required { missing(column.name) }
            return
        }
        if index == plan.partitionColumn, let lastTime, !partitionRange.contains(lastTime) {
            let day = CivilTime.dateText(days: CivilTime.split(lastTime).days).filter { $0 != "-" }
            fail(
                column.name,
                "The destination table's partition \(tableName)$\(day) is outside the allowed bounds. You can only stream to partitions within 3650 days in the past and 366 days in the future relative to the current date."
            )
        }
        result.cells.append(CheckedCell(column: index, value: value))
    }

    // MARK: RECORD and REPEATED

    /// Appends the value as JSON text to the `nested` buffer. False if it is absent, that is null.
    mutating func appendNested(
        _ column: ColumnPlan, at location: String, _ reader: inout JSONReader
    ) throws(JSONSyntaxError) -> Bool {
        guard column.mode == .repeated else { return try appendSingle(column, at: location, &reader) }
        switch try reader.peek() {
        case UInt8(ascii: "n"):
            // Null stands for the empty array.
            try reader.readLiteral("null")
            return false
        case UInt8(ascii: "["):
            result.nested.append(UInt8(ascii: "["))
            if try reader.enterArray() {
                var isFirst = true
                repeat {
                    if !isFirst { result.nested.append(UInt8(ascii: ",")) }
                    isFirst = false
                    if try !appendSingle(column, at: location, &reader) {
                        result.nested.append("null")
                        fail(location, "Only optional fields can be set to NULL. Field: \(location); Value: NULL")
                    }
                } while try reader.hasNextItem()
            }
            result.nested.append(UInt8(ascii: "]"))
        default:
            try reader.skipValue()
            result.nested.append("[]")
            fail(location, "Repeated field must be imported as a JSON array. Field: \(location).")
        }
        return true
    }

    private mutating func appendSingle(
        _ column: ColumnPlan, at location: String, _ reader: inout JSONReader
    ) throws(JSONSyntaxError) -> Bool {
        guard let members = column.members else { return try appendScalar(column, at: location, &reader) }
        switch try reader.peek() {
        case UInt8(ascii: "n"):
            try reader.readLiteral("null")
            if column.mode == .required { missing(location) }
            return false
        case UInt8(ascii: "{"):
            try appendRecord(members, at: location, &reader)
        case UInt8(ascii: "["):
            try reader.skipValue()
            result.nested.append("null")
            fail(location, "Array specified for non-repeated field: \(location).")
        default:
            try reader.skipValue()
            result.nested.append("null")
            fail(location, "This field: \(location) is a record, but the value is not an object.")
        }
        return true
    }

    private mutating func appendRecord(
        _ members: RowPlan, at location: String, _ reader: inout JSONReader
    ) throws(JSONSyntaxError) {
        var present = Array(repeating: false, count: members.columns.count)
        var isFirst = true
        result.nested.append(UInt8(ascii: "{"))
        if try reader.enterObject() {
            repeat {
                let name = reader.string(try reader.readKey())
                guard let index = members.indexByName[name.lowercased()] else {
                    try reader.skipValue()
                    errors.append(
                        FieldError(
                            location: "\(location).\(name)", message: "no such field: \(location).\(name).",
                            isUnknownField: true))
                    continue
                }
                let member = members.columns[index]
                let path = "\(location).\(member.name)"
                if present[index] {
                    try reader.skipValue()
                    fail(path, "Field \(path) is given more than once.")
                    continue
                }
                present[index] = true
                let before = result.nested.count
                if !isFirst { result.nested.append(UInt8(ascii: ",")) }
                result.nested.appendJSONString(member.name)
                result.nested.append(UInt8(ascii: ":"))
                if try appendNested(member, at: path, &reader) {
                    isFirst = false
                } else {
                    result.nested.truncate(to: before)
                }
            } while try reader.hasNextMember()
        }
        result.nested.append(UInt8(ascii: "}"))
        for index in members.required where !present[index] { missing("\(location).\(members.columns[index].name)") }
    }

    private mutating func appendScalar(
        _ column: ColumnPlan, at location: String, _ reader: inout JSONReader
    ) throws(JSONSyntaxError) -> Bool {
        guard let value = try scalar(column, at: location, &reader) else {
            result.nested.append("null")
            return true
        }
        switch value {
        case .null:
            if column.mode == .required { missing(location) }
            return false
        case .integer(let number):
            if column.type == .boolean {
                result.nested.append(number == 0 ? "false" : "true")
            } else {
                result.nested.append(decimal: number)
            }
        case .double(let number):
            if number.isFinite {
                result.nested.append("\(number)")
            } else {
                result.nested.appendJSONString(FloatText.text(number))
            }
        case .text(let reference):
            result.nested.appendJSONString(result.bytes(reference))
        case .blob(let reference):
            result.nested.appendJSONString(Base64.encode(result.bytes(reference)))
        }
        return true
    }
}
