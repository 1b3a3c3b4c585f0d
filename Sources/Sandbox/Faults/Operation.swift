/// What a request asks for; the names that a fault's `on=` takes.
package enum Operation: String, Sendable, CaseIterable {
    case datasetsGet = "datasets.get"
    case datasetsList = "datasets.list"
    case datasetsInsert = "datasets.insert"
    case datasetsPatch = "datasets.patch"
    case datasetsDelete = "datasets.delete"
    case tablesGet = "tables.get"
    case tablesList = "tables.list"
    case tablesInsert = "tables.insert"
    case tablesPatch = "tables.patch"
    case tablesUpdate = "tables.update"
    case tablesDelete = "tables.delete"
    case insertAll
    case tabledataList = "tabledata.list"
    case query
    case getQueryResults
    case jobsInsert = "jobs.insert"
    case jobsGet = "jobs.get"
    case token
    case unknown
}
