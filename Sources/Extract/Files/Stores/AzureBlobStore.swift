package import Transport

/// Azure Blob Storage. A version is an ETag.
package struct AzureBlobStore: RemoteStore {
    package static let kind = "az"

    package let place: StorePlace
    let container: AzureContainer
    private let anonymousBecause: String?
    private let blobsPerPage: Int

    /// The account that a URL such as `az://account/container/folder/` names.
    package static func account(of url: String) throws -> String {
        String(try StorePlace(url: url, bucketParts: 2).bucket.prefix { $0 != "/" })
    }

    /// - Parameters:
    ///   - url: `az://account/container/folder/`.
    ///   - endpoint: of the source's configuration; it comes before the account's own.
    ///   - blobsPerPage: at most 5000 (List Blobs).
    package init(
        url: String, endpoint: String?, account: AzureAccount, client: HTTPClient, blobsPerPage: Int = 1000
    ) throws {
        place = try StorePlace(url: url, bucketParts: 2)
        let parts = place.bucket.split(separator: "/")
        container = AzureContainer(
            account: String(parts[0]), name: String(parts[1]), endpoint: endpoint ?? account.endpoint,
            credentials: account.credentials, client: client)
        anonymousBecause = account.anonymousBecause
        self.blobsPerPage = blobsPerPage
    }

    // MARK: Listing

    package func list(prefix: String, after token: String?) async throws -> ObjectListing {
        let subject = url + prefix
        let query = PercentEncoding.query([
            "restype": "container", "comp": "list", "prefix": place.key(of: prefix), "marker": token,
            "maxresults": String(blobsPerPage),
        ])
        let body: [UInt8]
        do {
            body = try await container.stream(blob: nil, query: query).body.collect(maximumBytes: 32 << 20)
        } catch {
            throw translate(error, subject: subject, object: nil)
        }
        guard let answer = try? XMLElement(parsing: body), answer.name == "EnumerationResults" else {
            throw ExtractError(.unavailable, "listing \(subject) gave an answer that is no EnumerationResults")
        }
        var listing = ObjectListing(objects: [])
        for blob in answer["Blobs"]?.all("Blob") ?? [] {
            let properties = blob["Properties"]
            // Accounts with a hierarchical namespace list folders too.
            if properties?["ResourceType"]?.text == "directory" { continue }
            guard let key = blob["Name"].map(Self.name), let tag = properties?["Etag"]?.text,
                let size = properties?["Content-Length"].flatMap({ Int64($0.text) })
            else { throw ExtractError(.unavailable, "listing \(subject) gave a blob without name, length or ETag") }
            guard let name = place.name(of: key) else { continue }
            listing.objects.append(StoredObject(name: name, size: size, tag: tag))
        }
        listing.next = answer["NextMarker"].flatMap { $0.text.isEmpty ? nil : $0.text }
        return listing
    }

    /// Names that XML can't hold come percent-encoded and say so.
    private static func name(_ element: XMLElement) -> String {
        element.attributes["Encoded"] == "true" ? PercentEncoding.decode(element.text) : element.text
    }

    // MARK: Reading

    package func get(_ object: StoredObject, range: String?) async throws -> HTTPStreamedResponse {
        var headers = [HTTPHeader("If-Match", "\"\(object.version)\""), HTTPHeader("Accept-Encoding", "identity")]
        if let range { headers.append(HTTPHeader("x-ms-range", range)) }
        let subject = url(of: object.name)
        do {
            let response = try await container.stream(blob: place.key(of: object.name), headers: headers)
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
        case ("ContainerNotFound", _), ("ContainerBeingDeleted", _):
            return failure.missing("the container \(place.bucket)", hint: "check the source's url and endpoint")
        case (_, 412), (_, 416):
            return ObjectStoreError.changed(url: subject)
        case (_, 404) where object != nil:
            return ObjectStoreError.gone(url: subject)
        case (_, 404):
            return ExtractError(
                .configuration, "the container \(place.bucket) does not exist, or is not public (\(refusal))",
                at: .source("url"), hint: "check the source's url, endpoint and credentials")
        case ("BlobArchived", _), ("BlobBeingRehydrated", _):
            return ExtractError(.malformed, failure.text, hint: "the blob is archived: rehydrate it, or leave it out")
        // Azure has one word for every signature it refuses.
        case ("AuthenticationFailed", _) where refusal.clock?.breaksSignatures ?? false:
            return failure.deniedForTime
        case ("AuthenticationFailed", _), (_, 401):
            return failure.denied(
                hint: container.signatureEnd.map {
                    "check the shared access signature, which holds until \($0): get a new one, then run the same command again"
                } ?? "check the account's key, or the identity that etlctl runs as, and this machine's clock (NTP)")
        case (_, 403), ("PublicAccessNotPermitted", _):
            return failure.denied(
                hint: verb == "reading"
                    ? "the account needs Storage Blob Data Reader, or a signature that may read and list"
                    : "the account needs Storage Blob Data Contributor, or a signature that may read, write and delete")
        default: return failure.other(isTransient: refusal.isTransient)
        }
    }
}
