internal import JSONBytes
internal import Spool
internal import Transport

/// Conditional writes by `ifGenerationMatch`, in single requests. The answer names the MD5 of what has arrived.
extension GoogleCloudStore: WritableStore {
    package func find(_ name: String) async throws -> FoundObject? {
        let subject = url(of: name)
        let response: HTTPStreamedResponse
        do {
            response = try await http.stream(
                HTTPRequest(.get, "\(address(of: name))?fields=generation,size,updated&prettyPrint=false"))
            if response.status == 404 {
                // Google says the same of a bucket that does not exist: the write will tell.
                _ = try? await response.body.collect(maximumBytes: 64 << 10)
                return nil
            }
            guard response.isSuccess else {
                throw try await refusal(of: response, "looking for", subject: subject, object: nil)
            }
            let answer = try JSONValue(parsing: try await response.body.collect(maximumBytes: 1 << 20))
            guard let generation = answer["generation"]?.intValue, let size = answer["size"]?.intValue else {
                throw ExtractError(.unavailable, "looking for \(subject) gave an answer without generation or size")
            }
            let written = answer["updated"]?.stringValue.flatMap { Timestamp(rfc3339: $0) }
            let age = response.headers.date.flatMap { now in
                written.map { Duration.seconds(max(0, now - $0.microseconds / 1_000_000)) }
            }
            return FoundObject(
                object: StoredObject(name: name, size: size, version: String(generation)), age: age)
        } catch let error as JSONSyntaxError {
            throw ExtractError(.unavailable, "looking for \(subject) gave a broken answer: \(error)")
        } catch {
            throw ExtractError.translating(error, "looking for", subject)
        }
    }

    package func put(_ name: String, _ bytes: [UInt8], if condition: WriteCondition) async throws -> String {
        let subject = url(of: name)
        let generation =
            switch condition {
            case .absent: "0"
            case .version(let version): version
            }
        let query = PercentEncoding.query([
            "uploadType": "media", "name": place.key(of: name), "ifGenerationMatch": generation,
            "fields": "generation,size,md5Hash", "prettyPrint": "false",
        ])
        do {
            let response = try await http.stream(
                HTTPRequest(
                    .post, "\(uploads)?\(query)", headers: [HTTPHeader("Content-Type", "application/octet-stream")],
                    body: HTTPBody(bytes)))
            guard response.isSuccess else {
                throw try await refusal(of: response, "writing", subject: subject, object: nil)
            }
            let answer = try JSONValue(parsing: try await response.body.collect(maximumBytes: 1 << 20))
            guard let generation = answer["generation"]?.intValue else {
                throw ExtractError(.unavailable, "writing \(subject) gave an answer without a generation")
            }
            let isWhole = answer["md5Hash"]?.stringValue.map { sum in Digest.md5Base64(bytes).map { $0 == sum } ?? true
            }
            guard answer["size"]?.intValue ?? Int64(bytes.count) == Int64(bytes.count), isWhole ?? true else {
                throw ExtractError(.unavailable, "writing \(subject) failed: other bytes have arrived than were sent")
            }
            return String(generation)
        } catch let error as JSONSyntaxError {
            throw ExtractError(.unavailable, "writing \(subject) gave a broken answer: \(error)")
        } catch {
            throw ExtractError.translating(error, "writing", subject)
        }
    }

    package func delete(_ name: String) async throws {
        let subject = url(of: name)
        do {
            let response = try await http.stream(HTTPRequest(.delete, address(of: name)))
            guard response.isSuccess || response.status == 404 else {
                throw try await refusal(of: response, "deleting", subject: subject, object: nil)
            }
            _ = try await response.body.collect(maximumBytes: 64 << 10)
        } catch {
            throw ExtractError.translating(error, "deleting", subject)
        }
    }
}
