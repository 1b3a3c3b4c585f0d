internal import JSONBytes

extension Engine {
    func grantToken(_ body: ByteBuffer) -> HTTPResponse { HTTPResponse(status: 501, json: [:]) }
    func authorize(_ request: HTTPRequest, _ route: Route) throws(APIError) {}
}
