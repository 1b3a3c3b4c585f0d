internal import Transport

/// Conditional writes (S3 has `If-None-Match: *` since August, `If-Match` since November 2024). What is sent is signed with its SHA-256, which
/// S3 compares with what has arrived.
extension S3Store: WritableStore {
    package func find(_ name: String) async throws -> FoundObject? {
        do {
            let response = try await head(name)
            guard let tag = response.headers["etag"],
                let size = response.headers["content-length"].flatMap({ Int64($0) })
            else {
                throw ExtractError(.unavailable, "looking for \(url(of: name)) gave an answer without ETag or size")
            }
            return FoundObject(
                object: StoredObject(name: name, size: size, tag: tag), age: response.headers.ageOfObject)
        } catch let refusal as ServiceRefusal where refusal.status == 404 {
            // The answer to HEAD has no body that could say whether it is the bucket that is missing: the write will.
            return nil
        } catch {
            throw translate(error, "looking for", subject: url(of: name), object: nil)
        }
    }

    /// An answer to HEAD has no body that could say why it is refused: another request asks, which also learns the region, or renews what has
    /// expired.
    private func head(_ name: String) async throws -> HTTPStreamedResponse {
        do {
            return try await bucket.stream(.head, key: place.key(of: name))
        } catch let refusal as ServiceRefusal where refusal.status != 404 && !refusal.isTransient {
            _ = try await bucket.stream(key: place.key(of: name), headers: [HTTPHeader("Range", "bytes=0-0")])
            return try await bucket.stream(.head, key: place.key(of: name))
        }
    }

    package func put(_ name: String, _ bytes: [UInt8], if condition: WriteCondition) async throws -> String {
        let subject = url(of: name)
        do {
            let response = try await bucket.stream(
                .put, key: place.key(of: name),
                headers: [condition.header, HTTPHeader("Content-Type", "application/octet-stream")],
                body: HTTPBody(bytes))
            _ = try await response.body.collect(maximumBytes: 64 << 10)
            guard let tag = response.headers["etag"] else {
                throw ExtractError(.unavailable, "writing \(subject) gave an answer without ETag")
            }
            return StoredObject(name: name, size: 0, tag: tag).version
        } catch let refusal as ServiceRefusal
            where refusal.code == "ConditionalRequestConflict" || refusal.status == 409
        {
            // Another write or a deletion was going on: who won is seen by the next attempt.
            throw RemoteRefusal(refusal, "writing", subject, anonymousBecause: nil).other(isTransient: true)
        } catch let refusal as ServiceRefusal
            where refusal.code != "NoSuchBucket" && refusal.status == 404 && condition != .absent
        {
            throw ObjectStoreError.changed(url: subject)
        } catch {
            throw translate(error, "writing", subject: subject, object: nil)
        }
    }

    package func delete(_ name: String) async throws {
        do {
            let response = try await bucket.stream(.delete, key: place.key(of: name))
            _ = try await response.body.collect(maximumBytes: 64 << 10)
        } catch let refusal as ServiceRefusal where refusal.status == 404 && refusal.code != "NoSuchBucket" {
        } catch {
            throw translate(error, "deleting", subject: url(of: name), object: nil)
        }
    }
}

extension WriteCondition {
    /// HTTP's own conditions (RFC 9110, 13.1).
    var header: HTTPHeader {
        switch self {
        case .absent: HTTPHeader("If-None-Match", "*")
        case .version(let tag): HTTPHeader("If-Match", "\"\(tag)\"")
        }
    }
}

extension HTTPHeaders {
    /// How long ago the object was written, by the server's clock alone.
    var ageOfObject: Duration? {
        guard let date, let lastModified else { return nil }
        return .seconds(max(0, date - lastModified))
    }
}
