internal import HTTPServer
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
        let place = try place(of: call)
        let limit = min(try call.positiveNumber("maxResults") ?? 10_000, 100_000)
        let format = call.request.query.cellFormat(prefix: "formatOptions.")
        do {
            let latest = clock.now - configuration.streamingBufferTime.microseconds
            let total = try store.count(record.layout, upTo: latest)
            let page = try store.rows(
                of: record.layout, offset: place.offset, after: place.previous, limit: limit, upTo: latest)
            let positions = fields.map { field in record.fields.firstIndex { $0.name == field.name } ?? 0 }
            let shown = page.rows.map { row -> JSONValue in
                ["f": .array(zip(positions, fields).map { ["v": ColumnCodec.wire(row[$0], $1, format)] })]
            }
            var members: [JSONMember] = [
                JSONMember("kind", "bigquery#tableDataList"), JSONMember("etag", .string(record.etag)),
                JSONMember("totalRows", .string(String(total))),
            ]
            let next = place.index + page.rows.count
            if next < total, !page.rows.isEmpty {
                members.append(JSONMember("pageToken", .string("\(next)-\(page.lastID)")))
            }
            if !shown.isEmpty { members.append(JSONMember("rows", .array(shown))) }
            return HTTPResponse(json: .object(members))
        } catch {
            throw Self.internalError(error)
        }
    }
}

extension Engine {
    /// Where a page begins: `startIndex`, or a token that names the index and the last id before it.
    private func place(of call: APICall) throws(APIError) -> (index: Int, offset: Int, previous: Int64) {
        guard let token = call.request.query["pageToken"], !token.isEmpty else {
            let index = try call.positiveNumber("startIndex") ?? 0
            return (index, index, 0)
        }
        let parts = token.split(separator: "-", omittingEmptySubsequences: false)
        guard parts.count == 2, let index = Int(parts[0]), let previous = Int64(parts[1]), index >= 0 else {
            throw .invalid("Invalid value for pageToken: \(token)", location: "pageToken")
        }
        return (index, 0, previous)
    }
}

extension [String: String] {
    func cellFormat(prefix: String) -> CellFormat {
        if self[prefix + "timestampOutputFormat"] == "ISO8601_STRING" { return .iso8601 }
        if self[prefix + "timestampOutputFormat"] == "INT64" { return .microseconds }
        return self[prefix + "useInt64Timestamp"]?.lowercased() == "true" ? .microseconds : .seconds
    }
}
