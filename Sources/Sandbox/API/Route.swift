/// Which operation a method and path name, on what.
struct Route: Sendable, Equatable {
    var operation: Operation
    var project = ""
    var dataset: String?
    var table: String?
    var job: String?

    var tableKey: TableKey? {
        guard let dataset, let table else { return nil }
        return TableKey(project: project, dataset: dataset, table: table)
    }

    /// Nil for a path that the API does not have.
    init?(method: String, segments: [String]) {
        if segments == ["token"] {
            self.init(operation: .token)
            return
        }
        guard segments.count >= 5, segments[0] == "bigquery", segments[1] == "v2", segments[2] == "projects" else {
            return nil
        }
        let rest = Array(segments[4...])
        guard let operation = Self.operation(method, rest) else { return nil }
        self.init(operation: operation, project: segments[3])
        switch rest[0] {
        case "datasets":
            if rest.count > 1 { dataset = rest[1] }
            if rest.count > 3 { table = rest[3] }
        default:
            if rest.count > 1 { job = rest[1] }
        }
    }

    private init(operation: Operation, project: String = "") {
        self.operation = operation
        self.project = project
    }

    private static func operation(_ method: String, _ rest: [String]) -> Operation? {
        switch (rest[0], rest.count) {
        case ("datasets", 1):
            return ["GET": .datasetsList, "POST": .datasetsInsert][method]
        case ("datasets", 2):
            return [
                "GET": .datasetsGet, "PATCH": .datasetsPatch, "PUT": .datasetsPatch, "DELETE": .datasetsDelete,
            ][method]
        case ("datasets", 3) where rest[2] == "tables":
            return ["GET": .tablesList, "POST": .tablesInsert][method]
        case ("datasets", 4) where rest[2] == "tables":
            return [
                "GET": .tablesGet, "PATCH": .tablesPatch, "PUT": .tablesUpdate, "DELETE": .tablesDelete,
            ][method]
        case ("datasets", 5) where rest[2] == "tables" && rest[4] == "insertAll":
            return ["POST": .insertAll][method]
        case ("datasets", 5) where rest[2] == "tables" && rest[4] == "data":
            return ["GET": .tabledataList][method]
        case ("queries", 1): return ["POST": .query][method]
        case ("queries", 2): return ["GET": .getQueryResults][method]
        case ("jobs", 1): return ["POST": .jobsInsert][method]
        case ("jobs", 2): return ["GET": .jobsGet][method]
        default: return nil
        }
    }
}
