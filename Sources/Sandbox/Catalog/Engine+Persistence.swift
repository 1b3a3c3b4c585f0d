internal import JSONBytes

/// The catalogue on disk: definitions as JSON. A table's older schemas are not kept: they matter for seconds.
extension Engine {
    func save(_ record: DatasetRecord) throws(APIError) {
        let value: JSONValue = [
            "project": .string(record.key.project), "dataset": .string(record.key.dataset),
            "members": .object(record.members), "location": .string(record.location), "etag": .string(record.etag),
            "created": .number(String(record.created)), "modified": .number(String(record.modified)),
        ]
        do {
            try store.saveEntry(kind: "dataset", name: record.key.legacyName, value: value)
        } catch {
            throw Self.internalError(error)
        }
    }

    func save(_ record: TableRecord) throws(APIError) {
        let value: JSONValue = [
            "name": .string(record.key.description), "members": .object(record.members),
            "schema": record.fields.json, "location": .string(record.location), "etag": .string(record.etag),
            "created": .number(String(record.created)), "modified": .number(String(record.modified)),
        ]
        do {
            try store.saveEntry(kind: "table", name: record.key.description, value: value)
        } catch {
            throw Self.internalError(error)
        }
    }

    static func load(
        _ state: inout State, from store: TableStore, _ configuration: SandboxConfiguration, now: Int64
    ) throws {
        for value in try store.entries(kind: "dataset") {
            let key = DatasetKey(
                project: value["project"]?.stringValue ?? "", dataset: value["dataset"]?.stringValue ?? "")
            state.datasets[key] = DatasetRecord(
                key: key, members: value["members"]?.objectValue ?? [],
                location: value["location"]?.stringValue ?? configuration.defaultLocation,
                etag: value["etag"]?.stringValue ?? opaqueID(), created: value["created"]?.intValue ?? now,
                modified: value["modified"]?.intValue ?? now)
        }
        let window = configuration.dedupeWindow.microseconds
        for value in try store.entries(kind: "table") {
            guard let key = TableKey(value["name"]?.stringValue ?? "") else { continue }
            var record = TableRecord(
                key: key, members: value["members"]?.objectValue ?? [],
                fields: try SchemaParser(allowsFlexibleNames: true).parse(value["schema"] ?? [:]),
                location: value["location"]?.stringValue ?? configuration.defaultLocation,
                etag: value["etag"]?.stringValue ?? opaqueID(), now: value["created"]?.intValue ?? now)
            record.modified = value["modified"]?.intValue ?? now
            state.tables[key] = record
            guard !record.isView, window > 0 else { continue }
            for (id, time) in try store.insertIDs(key, after: now - window) {
                let hashed = id.withBytes { DedupeWindow.Key($0) }
                _ = state.dedupe[key, default: DedupeWindow()].admit(hashed, at: time, window: window)
            }
        }
    }
}
