internal import HTTPServer
internal import JSONBytes
internal import Synchronization

extension Engine {
    func datasets(_ call: APICall) throws(APIError) -> HTTPResponse {
        switch call.route.operation {
        case .datasetsInsert: return try insertDataset(call)
        case .datasetsList: return listDatasets(call.route.project)
        case .datasetsPatch: return try patchDataset(call)
        case .datasetsDelete: return try deleteDataset(call)
        default:
            let record = try dataset(of: call.route)
            return HTTPResponse(json: record.resource(endpoint: address))
        }
    }

    var address: String { endpoint.withLock { $0 } }

    private func key(of route: Route) -> DatasetKey {
        DatasetKey(project: route.project, dataset: route.dataset ?? "")
    }

    private func dataset(of route: Route) throws(APIError) -> DatasetRecord {
        let key = key(of: route)
        guard let record = state.withLock({ $0.datasets[key] }) else { throw .notFound(key) }
        return record
    }

    private func insertDataset(_ call: APICall) throws(APIError) -> HTTPResponse {
        let body = try call.json()
        try TableRules.checkNames(body, settable: DatasetRecord.settable, outputOnly: DatasetRecord.outputOnly)
        guard let id = body["datasetReference"]?["datasetId"]?.stringValue else {
            throw .invalid("Required parameter is missing: datasetReference.datasetId")
        }
        try TableRules.checkDatasetID(id)
        try TableRules.checkLabels(body["labels"])
        let project = body["datasetReference"]?["projectId"]?.stringValue ?? call.route.project
        guard project == call.route.project else { throw .invalid("The project of the URL and of the body differ.") }
        let key = DatasetKey(project: project, dataset: id)
        let record = DatasetRecord(
            key: key,
            members: (body.objectValue ?? []).filter { DatasetRecord.settable.contains($0.name) && !$0.value.isNull },
            location: body["location"]?.stringValue?.uppercased() ?? configuration.defaultLocation,
            etag: Self.opaqueID(), created: clock.now, modified: clock.now)
        let isNew = state.withLock { state in
            guard state.datasets[key] == nil else { return false }
            state.datasets[key] = record
            return true
        }
        guard isNew else { throw .duplicate("Dataset", key.legacyName) }
        try save(record)
        return HTTPResponse(json: record.resource(endpoint: address))
    }

    private func listDatasets(_ project: String) -> HTTPResponse {
        let records = state.withLock { state in
            state.datasets.values.filter { $0.key.project == project }.sorted { $0.key < $1.key }
        }
        let entries = records.map { record -> JSONValue in
            [
                "kind": "bigquery#dataset", "id": .string(record.key.legacyName),
                "datasetReference": record.key.reference, "location": .string(record.location),
            ]
        }
        return HTTPResponse(json: ["kind": "bigquery#datasetList", "etag": "list", "datasets": .array(entries)])
    }

    private func patchDataset(_ call: APICall) throws(APIError) -> HTTPResponse {
        let body = try call.json()
        try TableRules.checkNames(body, settable: DatasetRecord.settable, outputOnly: DatasetRecord.outputOnly)
        try TableRules.checkLabels(body["labels"])
        var record = try dataset(of: call.route)
        try checkMatch(call, etag: record.etag)
        if let location = body["location"]?.stringValue, location.uppercased() != record.location {
            throw .invalid("Cannot change the location of dataset \(record.key.legacyName).")
        }
        let given = (body.objectValue ?? []).filter { DatasetRecord.settable.contains($0.name) }
        record.members = call.request.method == "PUT" ? given : record.members.patched(with: given)
        record.etag = Self.opaqueID()
        record.modified = clock.now
        let changed = record
        state.withLock { $0.datasets[changed.key] = changed }
        try save(record)
        return HTTPResponse(json: record.resource(endpoint: address))
    }

    private func deleteDataset(_ call: APICall) throws(APIError) -> HTTPResponse {
        let record = try dataset(of: call.route)
        let tables = state.withLock { state in state.tables.keys.filter { $0.datasetKey == record.key } }
        guard tables.isEmpty || call.request.query["deleteContents"] == "true" else {
            throw APIError(400, "resourceInUse", "Dataset \(record.key.legacyName) is still in use")
        }
        for table in tables { try removeTable(table) }
        state.withLock { $0.datasets[record.key] = nil }
        do {
            try store.removeEntry(kind: "dataset", name: record.key.legacyName)
        } catch {
            throw Self.internalError(error)
        }
        return HTTPResponse(status: 204, body: [])
    }

    func checkMatch(_ call: APICall, etag: String) throws(APIError) {
        guard let wanted = call.request.headers["if-match"], wanted != "*" else { return }
        guard wanted.filter({ $0 != "\"" }) == etag else {
            throw APIError(412, "conditionNotMet", "Precondition Failed", location: "If-Match")
        }
    }
}

extension [JSONMember] {
    /// Members that are given replace those that are there; null removes. Labels are merged one by one.
    func patched(with changes: [JSONMember]) -> [JSONMember] {
        var result = self
        for change in changes {
            let index = result.firstIndex { $0.name == change.name }
            var value = change.value
            if change.name == "labels", let index, let old = result[index].value.objectValue,
                let new = change.value.objectValue
            {
                value = .object(old.patched(with: new))
            }
            switch (index, value.isNull) {
            case (let index?, true): result.remove(at: index)
            case (let index?, false): result[index].value = value
            case (nil, false): result.append(JSONMember(change.name, value))
            case (nil, true): break
            }
        }
        return result
    }
}
