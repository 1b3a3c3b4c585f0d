package import Transport

/// Amazon S3, or a service that speaks its protocol. A version is an ETag.
package struct S3Store: RemoteStore {
    package static let kind = "s3"

    package let place: StorePlace
    let bucket: S3Bucket
    /// Why there are no credentials, when reading goes on without any.
    private let anonymousBecause: String?
    private let keysPerPage: Int

    /// - Parameters:
    ///   - url: `s3://bucket/folder/`.
    ///   - anonymousBecause: told when access is denied.
    ///   - keysPerPage: at most 1000 (ListObjectsV2).
    package init(
        url: String, endpoint: String?, region: String?, credentials: AWSCredentialProvider?, client: HTTPClient,
        anonymousBecause: String? = nil, keysPerPage: Int = 1000
    ) throws {
        place = try StorePlace(url: url)
        bucket = S3Bucket(
            name: place.bucket, endpoint: endpoint, region: region, credentials: credentials, client: client)
        self.anonymousBecause = anonymousBecause
        self.keysPerPage = keysPerPage
    }

    // MARK: Listing

    package func list(prefix: String, after token: String?) async throws -> ObjectListing {
        // Encoded keys: XML 1.0 can't hold every character that a key may have.
        let query = PercentEncoding.query([
            "continuation-token": token, "encoding-type": "url", "list-type": "2", "max-keys": String(keysPerPage),
            "prefix": place.key(of: prefix),
        ])
        let subject = url + prefix
        let body: [UInt8]
        do {
            // 1000 keys of 1024 bytes, each byte encoded as three characters, and as much around them.
            body = try await bucket.stream(key: nil, query: query).body.collect(maximumBytes: 16 << 20)
        } catch {
            throw translate(error, subject: subject, object: nil)
        }
        guard let answer = try? XMLElement(parsing: body), answer.name == "ListBucketResult" else {
            throw ExtractError(.unavailable, "listing \(subject) gave an answer that is no ListBucketResult")
        }
        let isEncoded = answer["EncodingType"]?.text == "url"
        var listing = ObjectListing(objects: [])
        for entry in answer.all("Contents") {
            let text = entry["Key"]?.text ?? ""
            let key = isEncoded ? Self.decoded(text) : text
            guard let size = entry["Size"].flatMap({ Int64($0.text) }), let tag = entry["ETag"]?.text else {
                throw ExtractError(.unavailable, "listing \(subject) gave an object without size or ETag: \(key)")
            }
            guard let name = place.name(of: key) else { continue }
            listing.objects.append(StoredObject(name: name, size: size, tag: tag))
        }
        if answer["IsTruncated"]?.text == "true" {
            guard let next = answer["NextContinuationToken"]?.text, !next.isEmpty else {
                throw ExtractError(.unavailable, "listing \(subject) gave a page without a way to the next one")
            }
            listing.next = next
        }
        return listing
    }

    /// S3's `encoding-type=url` is that of forms: a space is a plus.
    private static func decoded(_ key: String) -> String {
        PercentEncoding.decode(key.replacing("+", with: "%20"))
    }

    // MARK: Reading

    package func get(_ object: StoredObject, range: String?) async throws -> HTTPStreamedResponse {
        var headers = [HTTPHeader("If-Match", "\"\(object.version)\""), HTTPHeader("Accept-Encoding", "identity")]
        if let range { headers.append(HTTPHeader("Range", range)) }
        let subject = url(of: object.name)
        do {
            let response = try await bucket.stream(key: place.key(of: object.name), headers: headers)
            guard object.isNamed(by: response.headers) else { throw ObjectStoreError.changed(url: subject) }
            return response
        } catch {
            throw translate(error, subject: subject, object: object)
        }
    }

    // MARK: Errors

    /// - Parameter verb: what was tried with `subject`.
    func translate(_ error: any Error, _ verb: String = "reading", subject: String, object: StoredObject?) -> any Error
    {
        guard let refusal = error as? ServiceRefusal else { return ExtractError.translating(error, verb, subject) }
        let failure = RemoteRefusal(refusal, verb, subject, anonymousBecause: anonymousBecause)
        switch (refusal.code, refusal.status) {
        case ("NoSuchBucket", _):
            return failure.missing(
                "the bucket \(place.bucket)", hint: "check the source's url, region and endpoint")
        case ("PreconditionFailed", _), (_, 412), (_, 416):
            return ObjectStoreError.changed(url: subject)
        case ("NoSuchKey", _):
            return ObjectStoreError.gone(url: subject)
        case (_, 404) where object != nil:
            return ObjectStoreError.gone(url: subject)
        case ("InvalidObjectState", _):
            return ExtractError(.malformed, failure.text, hint: "the object is archived: restore it, or leave it out")
        case ("RequestTimeTooSkewed", _), ("RequestExpired", _):
            return failure.deniedForTime
        case (_, 301), (_, 307), ("AuthorizationHeaderMalformed", _), ("PermanentRedirect", _):
            return ExtractError(
                .configuration, failure.text, at: .source("region"),
                hint: "set region: of the source to the bucket's region")
        case ("ExpiredToken", _), ("ExpiredTokenException", _), ("TokenRefreshRequired", _):
            return failure.denied(
                hint:
                    "the session token has expired: get a new one (aws sso login, or assume the role again), then run the same command again"
            )
        case ("InvalidAccessKeyId", _), ("SignatureDoesNotMatch", _), ("InvalidToken", _):
            return failure.denied(hint: "check the access key, its secret and its session token")
        case (_, 401), (_, 403):
            return failure.denied(
                hint: verb == "reading"
                    ? "the account needs s3:ListBucket on the bucket and s3:GetObject on its objects"
                    : "the account needs s3:ListBucket on the bucket, and s3:GetObject, s3:PutObject and s3:DeleteObject on its objects"
            )
        default: return failure.other(isTransient: refusal.isTransient)
        }
    }
}
