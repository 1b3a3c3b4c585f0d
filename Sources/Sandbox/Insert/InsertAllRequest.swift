internal import JSONBytes

/// The body of a `tabledata.insertAll` request, read and checked.
struct InsertAllRequest {
    var skipInvalidRows = false
    var ignoreUnknownValues = false
    var rows: CheckedRows

    /// Quotas page: bytes of one row, characters of an insertId.
    struct Limits: Sendable {
        var rowBytes = 10 << 20
        var rows = 50_000
        var insertIDCharacters = 128
    }

    /// Reads the body.
    ///
    /// - Throws: `APIError` for what makes the request as a whole fail. What is wrong with a row is kept with the row.
    init(body: ByteBuffer, checker: RowChecker, limits: Limits) throws(APIError) {
        rows = checker.result
        var checker = checker
        var reader = JSONReader(body.base, count: body.count)
        var hasRows = false
        do {
            guard try reader.peek() == UInt8(ascii: "{") else {
                throw APIError.badRequest("Invalid JSON payload received: an object is needed.")
            }
            if try reader.enterObject() {
                repeat {
                    let key = reader.string(try reader.readKey())
                    switch key {
                    case "rows":
                        hasRows = true
                        try readRows(&reader, &checker, limits)
                    case "skipInvalidRows": skipInvalidRows = try Self.flag(key, &reader)
                    case "ignoreUnknownValues": ignoreUnknownValues = try Self.flag(key, &reader)
                    default: try Self.checkOther(key, &reader)
                    }
                } while try reader.hasNextMember()
            }
            try reader.finish()
        } catch let error as JSONSyntaxError {
            throw APIError.malformed(error)
        } catch let error as APIError {
            throw error
        } catch {
            throw APIError.badRequest("Invalid JSON payload received.")
        }
        guard hasRows, !rows.rows.isEmpty else { throw .invalid("No rows present in the request.") }
        if ignoreUnknownValues { rows.dropUnknownFieldErrors() }
    }

    private static func flag(_ key: String, _ reader: inout JSONReader) throws -> Bool {
        guard let value = try reader.readValue(depth: 1).boolValue else {
            throw APIError.badRequest("Invalid value at '\(key)' (TYPE_BOOL)")
        }
        return value
    }

    private static func checkOther(_ key: String, _ reader: inout JSONReader) throws {
        let value = try reader.readValue(depth: 1)
        switch key {
        case "kind": break
        case "traceId":
            guard let text = value.stringValue, text.utf8.count <= 36, text.utf8.allSatisfy({ $0 < 0x80 }) else {
                throw APIError.invalid("Invalid value for traceId: at most 36 ASCII characters are allowed.")
            }
        case "templateSuffix":
            guard value.stringValue?.isEmpty ?? value.isNull else {
                throw APIError(501, "notImplemented", "The sandbox has no template tables (templateSuffix).")
            }
        default: throw APIError.unknownName(key, at: "")
        }
    }

    private mutating func readRows(
        _ reader: inout JSONReader, _ checker: inout RowChecker, _ limits: Limits
    ) throws {
        guard try reader.peek() == UInt8(ascii: "[") else {
            throw APIError.badRequest("Invalid value at 'rows': an array is needed.")
        }
        guard try reader.enterArray() else { return }
        repeat {
            guard try reader.peek() == UInt8(ascii: "{") else {
                throw APIError.badRequest("Invalid value at 'rows[\(rows.rows.count)]': an object is needed.")
            }
            try readRow(&reader, &checker, limits)
        } while try reader.hasNextItem()
        if rows.rows.count > limits.rows {
            throw APIError.invalid(
                "too many rows present in the request, limit: \(limits.rows) row count: \(rows.rows.count).")
        }
    }

    private mutating func readRow(
        _ reader: inout JSONReader, _ checker: inout RowChecker, _ limits: Limits
    ) throws {
        let number = rows.rows.count
        var row = CheckedRow(cells: 0..<0, insertID: nil, errors: [])
        var hasJSON = false
        var sizeError: FieldError?
        if try reader.enterObject() {
            repeat {
                let key = try reader.readKey()
                if reader.matches(key, "json") {
                    guard !hasJSON, try reader.peek() == UInt8(ascii: "{") else {
                        throw APIError.badRequest("Invalid value at 'rows[\(number)].json': one object is needed.")
                    }
                    hasJSON = true
                    let start = reader.at
                    row.cells = try checker.checkRow(&reader)
                    row.errors += checker.errors
                    let size = reader.at - start
                    if size > limits.rowBytes {
                        sizeError = FieldError(
                            location: "",
                            message: "Maximum allowed row size exceeded. Allowed: \(limits.rowBytes) Row size: \(size)")
                    }
                } else if reader.matches(key, "insertId") {
                    row.insertID = try Self.insertID(number, &reader, rows.scratch)
                } else {
                    throw APIError.unknownName(reader.string(key), at: "rows[\(number)]")
                }
            } while try reader.hasNextMember()
        }
        guard hasJSON else { throw APIError.invalid("Row \(number) has no json.") }
        if let sizeError { row.errors.append(sizeError) }
        if let reference = row.insertID {
            let characters = rows.bytes(reference).lazy.filter { $0 & 0xC0 != 0x80 }.count
            if characters > limits.insertIDCharacters {
                row.errors.append(
                    FieldError(
                        location: "insertId",
                        message:
                            "The insertId is too long: at most \(limits.insertIDCharacters) characters are allowed."))
            }
        }
        rows.rows.append(row)
    }

    private static func insertID(
        _ number: Int, _ reader: inout JSONReader, _ scratch: ByteBuffer
    ) throws -> TextReference? {
        switch try reader.peek() {
        case UInt8(ascii: "n"):
            try reader.readLiteral("null")
            return nil
        case UInt8(ascii: "\""):
            let token = try reader.readString()
            // An empty insertId is none.
            if token.end == token.start { return nil }
            if token.isPlain { return TextReference(source: .body, start: token.start, count: token.end - token.start) }
            let start = scratch.count
            scratch.appendDecoded(reader.raw(token))
            return TextReference(source: .scratch, start: start, count: scratch.count - start)
        default:
            throw APIError.badRequest("Invalid value at 'rows[\(number)].insertId' (TYPE_STRING)")
        }
    }
}

extension CheckedRows {
    fileprivate func dropUnknownFieldErrors() {
        for index in rows.indices where !rows[index].errors.isEmpty {
            rows[index].errors.removeAll(where: \.isUnknownField)
        }
    }
}
