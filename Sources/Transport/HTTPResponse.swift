/// Header fields of a response; names compare without regard to case.
package struct HTTPHeaders: Sendable, Equatable {
    /// In the order of arrival, names in lower case.
    package private(set) var fields: [HTTPHeader] = []

    package init(_ fields: [HTTPHeader] = []) {
        for field in fields {
            append(field.name, field.value)
        }
    }

    package mutating func append(_ name: String, _ value: String) {
        fields.append(HTTPHeader(name.lowercased(), value))
    }

    /// The first value of that name.
    package subscript(_ name: String) -> String? {
        let lowercased = name.lowercased()
        return fields.first { $0.name == lowercased }?.value
    }

    package func all(_ name: String) -> [String] {
        let lowercased = name.lowercased()
        return fields.filter { $0.name == lowercased }.map(\.value)
    }
}

/// Status and header fields of a response: what is known before its body.
package struct HTTPHead: Sendable, Equatable {
    package var status: Int
    package var headers: HTTPHeaders

    package init(status: Int, headers: HTTPHeaders = HTTPHeaders()) {
        self.status = status
        self.headers = headers
    }
}

/// A response with its whole body.
package struct HTTPResponse: Sendable {
    package var status: Int
    package var headers: HTTPHeaders
    package var body: [UInt8]

    package init(status: Int, headers: HTTPHeaders = HTTPHeaders(), body: [UInt8] = []) {
        self.status = status
        self.headers = headers
        self.body = body
    }

    package var isSuccess: Bool { (200..<300).contains(status) }

    /// How long the server asks to wait; nil without a `Retry-After` that can be read.
    package var retryAfter: Duration? { headers.retryAfter }

    /// The body as text; bytes that are not UTF-8 become replacement characters.
    package var text: String { String(decoding: body, as: UTF8.self) }
}

/// A response whose body arrives as it is read.
package struct HTTPStreamedResponse: Sendable {
    package var status: Int
    package var headers: HTTPHeaders
    package var body: HTTPStream

    package var isSuccess: Bool { (200..<300).contains(status) }
    package var retryAfter: Duration? { headers.retryAfter }
}
