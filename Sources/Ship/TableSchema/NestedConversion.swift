internal import JSONBytes

/// Fills RECORD and REPEATED columns from JSON text, when nothing of it is lost.
enum NestedConversion {
    static func convert(_ json: UnsafeRawBufferPointer, into column: ColumnSchema, _ target: ByteBuffer) -> Bool {
        guard let value = try? JSONValue(parsing: json) else { return false }
        let start = target.count
        guard append(value, column, target) else {
            target.truncate(to: start)
            return false
        }
        return true
    }

    private static func append(_ value: JSONValue, _ column: ColumnSchema, _ target: ByteBuffer) -> Bool {
        guard column.mode == .repeated else { return appendOne(value, column, target) }
        guard case .array(let items) = value else { return false }
        target.append(UInt8(ascii: "["))
        for (index, item) in items.enumerated() {
            if index > 0 { target.append(UInt8(ascii: ",")) }
            // An array in BigQuery can't hold null.
            guard item != .null, appendOne(item, column, target) else { return false }
        }
        target.append(UInt8(ascii: "]"))
        return true
    }

    private static func appendOne(_ value: JSONValue, _ column: ColumnSchema, _ target: ByteBuffer) -> Bool {
        var single = column
        single.mode = .nullable
        if column.type == .record { return appendRecord(value, column, target) }
        switch value {
        case .null:
            guard column.mode == .nullable else { return false }
            target.append("null")
            return true
        case .bool(let flag):
            guard column.type == .bool || column.type == .string else { return false }
            return ColumnConversion.convert(.bool(flag), of: .bool, into: single, target)
        case .number(let number):
            var number = number
            return number.withUTF8 { text in
                let text = UnsafeRawBufferPointer(text)
                let type: SpooledType = ScalarText.int64(text) != nil ? .int64 : .float64
                guard ColumnConversion.fit(type, into: single) != .never else { return false }
                return ColumnConversion.convert(.number(text), of: type, into: single, target)
            }
        case .string(var string):
            return string.withUTF8 { text in
                ColumnConversion.convert(.text(UnsafeRawBufferPointer(text)), of: .string, into: single, target)
            }
        case .array, .object:
            // Nested values fit a JSON column, as text.
            guard column.type == .json else { return false }
            target.appendJSONString(value.text)
            return true
        }
    }

    /// Every member must have its field, and every field that must be there its member.
    private static func appendRecord(_ value: JSONValue, _ column: ColumnSchema, _ target: ByteBuffer) -> Bool {
        guard case .object(let members) = value else { return false }
        var isFirst = true
        var seen: Set<String> = []
        target.append(UInt8(ascii: "{"))
        for member in members {
            guard let field = column.fields.first(where: { $0.name.lowercased() == member.name.lowercased() }),
                seen.insert(field.name).inserted
            else { return false }
            // An empty array is what a REPEATED field has without a value.
            if field.mode == .repeated, member.value == .null { continue }
            if !isFirst { target.append(UInt8(ascii: ",")) }
            isFirst = false
            target.appendJSONString(field.name)
            target.append(UInt8(ascii: ":"))
            guard append(member.value, field, target) else { return false }
        }
        target.append(UInt8(ascii: "}"))
        return column.fields.allSatisfy { $0.mode != .required || seen.contains($0.name) }
    }
}
