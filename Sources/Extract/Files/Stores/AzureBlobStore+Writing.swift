internal import Transport

/// Conditional writes of block blobs (Put Blob). Azure compares `Content-MD5` with what has arrived.
extension AzureBlobStore: WritableStore {
    package func find(_ name: String) async throws -> FoundObject? {
        do {
            let response = try await container.stream(.head, blob: place.key(of: name))
            guard let tag = response.headers["etag"],
                let size = response.headers["content-length"].flatMap({ Int64($0) })
            else {
                throw ExtractError(.unavailable, "looking for \(url(of: name)) gave an answer without ETag or size")
            }
            return FoundObject(
                object: StoredObject(name: name, size: size, tag: tag), age: response.headers.ageOfObject)
        } catch let refusal as ServiceRefusal where refusal.status == 404 && refusal.code != "ContainerNotFound" {
            return nil
        } catch {
            throw translate(error, "looking for", subject: url(of: name), object: nil)
        }
    }

    package func put(_ name: String, _ bytes: [UInt8], if condition: WriteCondition) async throws -> String {
        let subject = url(of: name)
        var headers = [
            condition.header, HTTPHeader("x-ms-blob-type", "BlockBlob"),
            HTTPHeader("Content-Type", "application/octet-stream"),
        ]
        if let sum = Digest.md5Base64(bytes) { headers.append(HTTPHeader("Content-MD5", sum)) }
        do {
            let response = try await container.stream(
                .put, blob: place.key(of: name), headers: headers, body: HTTPBody(bytes))
            _ = try await response.body.collect(maximumBytes: 64 << 10)
            guard let tag = response.headers["etag"] else {
                throw ExtractError(.unavailable, "writing \(subject) gave an answer without ETag")
            }
            return StoredObject(name: name, size: 0, tag: tag).version
        } catch let refusal as ServiceRefusal where refusal.code == "BlobAlreadyExists" {
            throw ObjectStoreError.changed(url: subject)
        } catch let refusal as ServiceRefusal where refusal.code == "Md5Mismatch" {
            throw RemoteRefusal(refusal, "writing", subject, anonymousBecause: nil).other(isTransient: true)
        } catch {
            throw translate(error, "writing", subject: subject, object: nil)
        }
    }

    package func delete(_ name: String) async throws {
        do {
            let response = try await container.stream(.delete, blob: place.key(of: name))
            _ = try await response.body.collect(maximumBytes: 64 << 10)
        } catch let refusal as ServiceRefusal where refusal.status == 404 && refusal.code != "ContainerNotFound" {
        } catch {
            throw translate(error, "deleting", subject: url(of: name), object: nil)
        }
    }
}
