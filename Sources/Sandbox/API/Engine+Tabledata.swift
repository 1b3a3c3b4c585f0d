internal import JSONBytes

extension Engine {
    /// tabledata.list: rows in order of arrival, without those in the streaming buffer.
    func tabledataList(_ call: APICall) throws(APIError) -> HTTPResponse {
        let record = try table(of: call.route)
        guard !record.isView else {
            throw .invalid("Cannot list a table of type VIEW.")
        }
        var fields = record.fields
        if let selected = call.request.query["selectedFields"], !selected.isEmpty {
            let names = Set(selected.split(separator: ",").map { $0.lowercased() })
            fields = record.fields.filter { names.contains($0.name.lowercased()) }
            guard fields.count == names.count else {
                throw .invalid("Invalid value for selectedFields: \(selected)", location: "selectedFields")
            }
        }
        let token = try call.positiveNumber("pageToken")
        let index = try call.positiveNumber("startIndex")
        let start = token ?? index ?? 0
        let limit = min(try call.positiveNumber("maxResults") ?? 10_000, 100_000)
        let format = call.request.query.cellFormat(prefix: "formatOptions.")
        do {
            let latest = clock.now - configuration.streamingBufferTime.microseconds
            let total = try store.count(record.layout, upTo: latest)
            let rows = try store.rows(of: record.layout, offset: start, limit: limit, upTo: latest)
            let positions = fields.map { field in record.fields.firstIndex { $0.name == field.name } ?? 0 }
            let shown = rows.map { row -> JSONValue in
                ["f": .array(zip(positions, fields).map { ["v": ColumnCodec.wire(row[$0], $1, format)] })]
            }
            var members: [JSONMember] = [
                JSONMember("kind", "bigquery#tableDataList"), JSONMember("etag", .string(record.etag)),
                JSONMember("totalRows", .string(String(total))),
            ]
            if start + rows.count < total, !rows.isEmpty {
                members.append(JSONMember("pageToken", .string(String(start + rows.count))))
            }
            if !shown.isEmpty { members.append(JSONMember("rows", .array(shown))) }
            return HTTPResponse(json: .object(members))
        } catch {
            throw Self.internalError(error)
        }
    }
}

extension [String: String] {
    func cellFormat(prefix: String) -> CellFormat {
        if self[prefix + "timestampOutputFormat"] == "ISO8601_STRING" { return .iso8601 }
        if self[prefix + "timestampOutputFormat"] == "INT64" { return .microseconds }
        return self[prefix + "useInt64Timestamp"]?.lowercased() == "true" ? .microseconds : .seconds
    }
}
