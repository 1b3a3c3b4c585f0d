internal import HTTPServer
internal import JSONBytes
internal import Synchronization

extension Engine {
    func tables(_ call: APICall) throws(APIError) -> HTTPResponse {
        let dataset = DatasetKey(project: call.route.project, dataset: call.route.dataset ?? "")
        guard let location = state.withLock({ $0.datasets[dataset]?.location }) else { throw .notFound(dataset) }
        switch call.route.operation {
        case .tablesInsert: return try insertTable(call, dataset, location)
        case .tablesList: return try listTables(call, dataset)
        case .tablesPatch: return try changeTable(call, replacing: false)
        case .tablesUpdate: return try changeTable(call, replacing: true)
        case .tablesDelete:
            let record = try table(of: call.route)
            try removeTable(record.key)
            return HTTPResponse(status: 204, body: [])
        default: return try getTable(call)
        }
    }

    func table(of route: Route) throws(APIError) -> TableRecord {
        guard let key = route.tableKey else { throw .badRequest("A table is needed.") }
        guard let record = state.withLock({ $0.tables[key] }) else { throw .notFound(key) }
        return record
    }

    private func getTable(_ call: APICall) throws(APIError) -> HTTPResponse {
        let record = try table(of: call.route)
        let view = call.request.query["view"] ?? "STORAGE_STATS"
        guard ["TABLE_METADATA_VIEW_UNSPECIFIED", "BASIC", "STORAGE_STATS", "FULL"].contains(view) else {
            throw .invalid("Invalid value for view: \(view)", location: "view")
        }
        let selected = call.request.query["selectedFields"].map {
            Set($0.split(separator: ",").map { String($0.prefix { $0 != "." }) })
        }
        let statistics = view == "BASIC" || record.isView ? nil : try statistics(of: record)
        return HTTPResponse(
            json: record.resource(endpoint: address, statistics: statistics, selectedFields: selected))
    }

    func statistics(of record: TableRecord) throws(APIError) -> TableStatistics {
        do {
            let bufferStart = clock.now - configuration.streamingBufferTime.microseconds
            let all = try store.count(record.layout)
            guard configuration.streamingBufferTime > .zero else {
                return TableStatistics(rows: all, bufferedRows: 0, oldestBuffered: nil)
            }
            let settled = try store.count(record.layout, upTo: bufferStart)
            return TableStatistics(rows: settled, bufferedRows: all - settled, oldestBuffered: bufferStart)
        } catch {
            throw Self.internalError(error)
        }
    }

    private func insertTable(_ call: APICall, _ dataset: DatasetKey, _ location: String) throws(APIError)
        -> HTTPResponse
    {
        let body = try call.json()
        try TableRules.checkNames(body, settable: TableRecord.settable, outputOnly: TableRecord.outputOnly)
        guard let id = body["tableReference"]?["tableId"]?.stringValue else {
            throw .invalid("Required parameter is missing: tableReference.tableId")
        }
        try TableRules.checkTableID(id)
        guard body["tableReference"]?["datasetId"]?.stringValue ?? dataset.dataset == dataset.dataset,
            body["tableReference"]?["projectId"]?.stringValue ?? dataset.project == dataset.project
        else { throw .invalid("The table reference of the URL and of the body differ.") }
        let key = TableKey(project: dataset.project, dataset: dataset.dataset, table: id)
        var fields: [FieldSchema] = []
        if let schema = body["schema"], !schema.isNull {
            fields = try SchemaParser(allowsFlexibleNames: configuration.allowsFlexibleNames).parse(schema)
        }
        var record = TableRecord(
            key: key,
            members: (body.objectValue ?? []).filter { TableRecord.settable.contains($0.name) && !$0.value.isNull },
            fields: fields, location: location, etag: Self.opaqueID(), now: clock.now)
        if record.isView {
            guard fields.isEmpty || body["schema"] == nil else {
                throw .invalid("Schema field shouldn't be used as input with a view")
            }
            record.setFields(try viewFields(record), at: clock.now)
        }
        try TableRules.checkStorage(record)
        let created = record
        do {
            // The catalogue's lock is held while SQLite makes the table: nobody sees one without the other.
            let isNew = try state.withLock { state -> Bool in
                guard state.tables[key] == nil else { return false }
                if !created.isView { try store.createTable(created.layout) }
                state.tables[key] = created
                state.dedupe[key] = nil
                return true
            }
            guard isNew else { throw APIError.duplicate("Table", key.legacyName) }
        } catch {
            throw (error as? APIError) ?? Self.internalError(error)
        }
        try save(record)
        let statistics = record.isView ? nil : TableStatistics(rows: 0, bufferedRows: 0)
        return HTTPResponse(json: record.resource(endpoint: address, statistics: statistics))
    }

    private func listTables(_ call: APICall, _ dataset: DatasetKey) throws(APIError) -> HTTPResponse {
        let records = state.withLock { state in
            state.tables.values.filter { $0.key.datasetKey == dataset }.sorted { $0.key < $1.key }
        }
        let start = call.request.query["pageToken"].flatMap(Int.init) ?? 0
        let limit = try call.positiveNumber("maxResults") ?? 50
        let page = records.dropFirst(start).prefix(max(limit, 1))
        var result: [JSONMember] = [
            JSONMember("kind", "bigquery#tableList"), JSONMember("etag", "list"),
            JSONMember("tables", .array(page.map(\.listEntry))),
            JSONMember("totalItems", .number(String(records.count))),
        ]
        if start + page.count < records.count {
            result.append(JSONMember("nextPageToken", .string(String(start + page.count))))
        }
        return HTTPResponse(json: .object(result))
    }

    /// tables.patch and tables.update.
    private func changeTable(_ call: APICall, replacing: Bool) throws(APIError) -> HTTPResponse {
        let body = try call.json()
        try TableRules.checkNames(body, settable: TableRecord.settable, outputOnly: TableRecord.outputOnly)
        let given = (body.objectValue ?? []).filter { TableRecord.settable.contains($0.name) }
        let newFields: [FieldSchema]?
        if let schema = body["schema"], !schema.isNull {
            newFields = try SchemaParser(allowsFlexibleNames: configuration.allowsFlexibleNames).parse(schema)
        } else {
            newFields = nil
        }
        let old = try table(of: call.route)
        var changed = old
        try checkMatch(call, etag: old.etag)
        try countUpdate(&changed)
        changed.members = replacing ? given.filter { !$0.value.isNull } : old.members.patched(with: given)
        try TableRules.checkChange(from: old, to: changed)
        if changed.isView {
            if changed["view"] != old["view"] || newFields == nil {
                changed.setFields(try viewFields(changed), at: clock.now)
            }
        } else if let newFields {
            try SchemaEvolution(tableName: old.key.legacyName).check(from: old.fields, to: newFields)
            changed.setFields(newFields, at: clock.now)
        } else if replacing, !old.fields.isEmpty {
            throw .invalid(
                "Provided Schema does not match Table \(old.key.legacyName). Field \(old.fields[0].name) is missing in new schema"
            )
        }
        try TableRules.checkStorage(changed)
        changed.etag = Self.opaqueID()
        changed.modified = clock.now
        try commit(changed, insteadOf: old)
        return HTTPResponse(
            json: changed.resource(endpoint: address, statistics: changed.isView ? nil : try statistics(of: changed)))
    }

    private func commit(_ changed: TableRecord, insteadOf old: TableRecord) throws(APIError) {
        do {
            let isCurrent = try state.withLock { state -> Bool in
                guard state.tables[old.key]?.etag == old.etag else { return false }
                if !changed.isView, changed.fields.count > old.fields.count {
                    let added = changed.layout.directFields.dropFirst(old.fields.count)
                    try store.addColumns(added, to: old.layout)
                }
                state.tables[changed.key] = changed
                return true
            }
            guard isCurrent else {
                throw APIError(412, "conditionNotMet", "Precondition Failed: the table was changed at the same time.")
            }
        } catch {
            throw (error as? APIError) ?? Self.internalError(error)
        }
        try save(changed)
    }

    private func countUpdate(_ record: inout TableRecord) throws(APIError) {
        guard let limit = configuration.metadataUpdateLimit else { return }
        let now = clock.now
        record.updates.removeAll { $0 <= now - 10_000_000 }
        guard record.updates.count < limit else {
            throw APIError(
                403, "rateLimitExceeded",
                "Exceeded rate limits: too many table update operations for this table. For more information, see https://cloud.google.com/bigquery/docs/troubleshoot-quotas"
            )
        }
        record.updates.append(now)
    }

    func removeTable(_ key: TableKey) throws(APIError) {
        do {
            try state.withLock { state in
                state.tables[key] = nil
                state.dedupe[key] = nil
                try store.dropTable(key)
            }
            try store.removeEntry(kind: "table", name: key.description)
        } catch {
            throw Self.internalError(error)
        }
    }
}
