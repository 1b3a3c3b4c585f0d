internal import JSONBytes
package import Transport

/// Google Cloud Storage, over its JSON API. A version is an object's generation.
package struct GoogleCloudStore: RemoteStore {
    package static let kind = "gs"

    package static let scopes = ["https://www.googleapis.com/auth/devstorage.read_only"]
    package static let writingScopes = ["https://www.googleapis.com/auth/devstorage.read_write"]

    package let place: StorePlace
    let http: AuthorizedClient
    /// `https://host/storage/v1/b/bucket/o`.
    let base: String
    /// `https://host/upload/storage/v1/b/bucket/o`.
    let uploads: String
    private let anonymousBecause: String?
    private let objectsPerPage: Int

    /// - Parameters:
    ///   - url: `gs://bucket/folder/`.
    ///   - endpoint: nil for Google's.
    ///   - http: without a token provider, only public objects can be read.
    ///   - anonymousBecause: why there are no credentials; told when access is denied.
    ///   - objectsPerPage: at most 1000 (the API's own cap).
    package init(
        url: String, endpoint: String?, http: AuthorizedClient, anonymousBecause: String? = nil,
        objectsPerPage: Int = 1000
    ) throws {
        place = try StorePlace(url: url)
        self.http = http
        let named = endpoint ?? "https://storage.googleapis.com"
        let host = named.hasSuffix("/") ? String(named.dropLast()) : named
        let path = "/storage/v1/b/\(PercentEncoding.encode(place.bucket))/o"
        base = host + path
        uploads = host + "/upload" + path
        self.anonymousBecause = anonymousBecause
        self.objectsPerPage = objectsPerPage
    }

    // MARK: Listing

    package func list(prefix: String, after token: String?) async throws -> ObjectListing {
        let subject = url + prefix
        let query = PercentEncoding.query([
            "prefix": place.key(of: prefix), "maxResults": String(objectsPerPage), "pageToken": token,
            "fields": "nextPageToken,items(name,generation,size)", "prettyPrint": "false",
        ])
        let answer = try await json("\(base)?\(query)", subject: subject, object: nil)
        // A page may have no items and still not be the last.
        var listing = ObjectListing(objects: [])
        for item in answer["items"]?.arrayValue ?? [] {
            guard let key = item["name"]?.stringValue, let generation = item["generation"]?.intValue,
                let size = item["size"]?.intValue
            else {
                throw ExtractError(.unavailable, "listing \(subject) gave an object without name, size or generation")
            }
            guard let name = place.name(of: key) else { continue }
            listing.objects.append(StoredObject(name: name, size: size, version: String(generation)))
        }
        listing.next = answer["nextPageToken"]?.stringValue.flatMap { $0.isEmpty ? nil : $0 }
        return listing
    }

    // MARK: Reading

    package func get(_ object: StoredObject, range: String?) async throws -> HTTPStreamedResponse {
        let subject = url(of: object.name)
        let query = PercentEncoding.query([
            "alt": "media", "generation": object.version, "ifGenerationMatch": object.version,
        ])
        // Without it the server decompresses objects stored with Content-Encoding: gzip, and ignores ranges (its page on transcoding).
        var request = HTTPRequest(
            .get, "\(address(of: object))?\(query)", headers: [HTTPHeader("Accept-Encoding", "gzip")],
            decodesContent: false)
        if let range { request.setHeader("Range", range) }
        let response: HTTPStreamedResponse
        do { response = try await http.stream(request) } catch {
            throw ExtractError.translating(error, reading: subject)
        }
        guard response.isSuccess else {
            let failure = try await refusal(of: response, subject: subject, object: object)
            // 404: this generation is not there; another one may be.
            if case ObjectStoreError.gone? = failure as? ObjectStoreError,
                let other = try? await generation(of: object),
                other != object.version
            {
                throw ObjectStoreError.changed(url: subject)
            }
            throw failure
        }
        // An emulator may not look at generations: then it does not name one either.
        let actual: String
        if let named = response.headers["x-goog-generation"] {
            actual = named
        } else {
            actual = try await generation(of: object)
        }
        guard actual == object.version else { throw ObjectStoreError.changed(url: subject) }
        return response
    }

    /// The generation that is live now.
    private func generation(of object: StoredObject) async throws -> String {
        let answer = try await json(
            "\(address(of: object))?fields=generation", subject: url(of: object.name), object: object)
        return answer["generation"]?.intValue.map { String($0) } ?? ""
    }

    private func address(of object: StoredObject) -> String { address(of: object.name) }

    func address(of name: String) -> String { "\(base)/\(PercentEncoding.encode(place.key(of: name)))" }

    // MARK: Answers

    private func json(_ address: String, subject: String, object: StoredObject?) async throws -> JSONValue {
        do {
            let response = try await http.stream(HTTPRequest(.get, address))
            guard response.isSuccess else { throw try await refusal(of: response, subject: subject, object: object) }
            return try JSONValue(parsing: try await response.body.collect(maximumBytes: 16 << 20))
        } catch let error as JSONSyntaxError {
            throw ExtractError(.unavailable, "reading \(subject) gave a broken answer: \(error)")
        } catch {
            throw ExtractError.translating(error, reading: subject)
        }
    }

    /// - Parameter verb: what was tried with `subject`.
    func refusal(
        of response: HTTPStreamedResponse, _ verb: String = "reading", subject: String, object: StoredObject?
    ) async throws -> any Error {
        let body = (try? await response.body.collect(maximumBytes: 256 << 10)) ?? []
        // Media requests are refused in plain text.
        let words =
            (try? JSONValue(parsing: body))?["error"]?["message"]?.stringValue
            ?? String(decoding: body.prefix(300), as: UTF8.self).split(whereSeparator: \.isNewline).first.map(
                String.init)
        let failure = RemoteRefusal(
            status: response.status, message: words, response.headers,
            clock: ClockDifference(response.headers), verb, subject, anonymousBecause: anonymousBecause)
        switch response.status {
        case 404 where object != nil:
            return ObjectStoreError.gone(url: subject)
        case 404: return failure.missing("the bucket \(place.bucket)", hint: "check the source's url and endpoint")
        case 412, 416:
            return ObjectStoreError.changed(url: subject)
        case 401 where http.tokens != nil:
            return failure.denied(
                hint:
                    "a fresh token was refused too: check the source's credentials, or run gcloud auth application-default login"
            )
        case 401, 403:
            let role = verb == "reading" ? "roles/storage.objectViewer" : "roles/storage.objectUser"
            return failure.denied(hint: "give the account the role \(role) on the bucket")
        default: return failure.other(isTransient: [408, 429].contains(response.status) || response.status >= 500)
        }
    }
}
