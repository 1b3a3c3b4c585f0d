internal import GRDB
internal import JSONBytes

struct JobStore: Sendable {}
enum SQLFunctions { static func register(on database: Database) {} }
extension Engine {
    func viewFields(_ record: TableRecord) throws(APIError) -> [FieldSchema] { [] }
    func queries(_ call: APICall) throws(APIError) -> HTTPResponse { throw APIError(501, "notImplemented", "") }
}
