internal import JSONBytes
internal import Spool

/// Something that a look at a source has shown about a stream.
package struct SourceFinding: Sendable, Equatable {
    package enum Level: Sendable, Equatable {
        case ok
        case warning
    }

    package var level: Level
    package var message: String
    package var hint: String?

    init(_ level: Level, _ message: String, hint: String? = nil) {
        self.level = level
        self.message = message
        self.hint = hint
    }
}

extension FirestoreSource {
    /// What a stream would meet: whether it can be read, how large it is, and whether its watermark sees everything. A handful of reads,
    /// and one for each started 1,000 documents that are counted.
    ///
    /// - Throws: `ExtractError` for what an extraction would fail of.
    package func findings(_ stream: ExtractRequest) async throws -> [SourceFinding] {
        let collection = try FirestoreCollection(parsing: stream.from ?? "")
        let subject = client.describe(collection)
        let now = try await client.probe(collection)
        let skew = now.readTime.since(.now())
        guard skew < .seconds(86_400), skew > .seconds(-86_400) else {
            throw ExtractError(
                .configuration,
                "this machine's clock (\(Timestamp.now())) is more than a day away from the source's (\(now.readTime))",
                hint: "set the clock right (NTP)")
        }
        var findings = await databaseFindings()
        guard !now.isEmpty else {
            return findings + [
                SourceFinding(
                    .warning, "\(subject) can be read and holds no documents", hint: "check the name in from:")
            ]
        }
        let total = try await client.count(FirestoreQuery(collection), readTime: now.text)
        findings.append(SourceFinding(.ok, "\(subject) can be read; it holds \(total) documents"))
        guard stream.mode == .incremental, let field = stream.watermark else { return findings }
        return try await findings + watermarkFindings(field, stream, collection, total: total, at: now.text)
    }

    /// What the database says of itself, where this account may ask and the server answers (the emulator does not).
    private func databaseFindings() async -> [SourceFinding] {
        guard let database = try? await client.metadata("") else { return [] }
        var findings: [SourceFinding] = []
        if database["type"]?.stringValue == "DATASTORE_MODE" {
            findings.append(
                SourceFinding(
                    .warning, "the database is in Datastore mode, which this interface does not read",
                    hint: "use a database in native mode"))
        }
        if let edition = database["databaseEdition"]?.stringValue {
            findings.append(SourceFinding(.ok, "the database is of the edition \(edition.lowercased())"))
        }
        if database["pointInTimeRecoveryEnablement"]?.stringValue == "POINT_IN_TIME_RECOVERY_DISABLED" {
            findings.append(
                SourceFinding(
                    .ok,
                    "point-in-time recovery is off: a run that takes longer than an hour goes on with a fresh snapshot time"
                ))
        }
        return findings
    }

    private func watermarkFindings(
        _ field: String, _ stream: ExtractRequest, _ collection: FirestoreCollection, total: Int, at readTime: String
    ) async throws -> [SourceFinding] {
        var findings = await indexFindings(field, collection)
        var counts: [(kind: WatermarkClass, count: Int)] = []
        for kind in [WatermarkClass.timestamp, .number, .string] {
            var query = FirestoreQuery(collection)
            query.filter(field, "GREATER_THAN_OR_EQUAL", kind.least)
            counts.append((kind, try await client.count(query, readTime: readTime)))
        }
        let present = counts.filter { $0.count > 0 }
        let column = ColumnNaming.sanitized(field)
        let pinned = stream.types[stream.rename[column] ?? column].flatMap(WatermarkClass.init(pinned:))
        guard let kind = pinned ?? present.first?.kind else {
            return findings + [
                SourceFinding(
                    .warning, "no document has a timestamp, a number or a string in \(field)",
                    hint: "check watermark:, or use mode: changes, which needs no field")
            ]
        }
        let seen = counts.first { $0.kind == kind }?.count ?? 0
        if present.count > 1 {
            let list = present.map { "\($0.count) \($0.kind.rawValue)s" }.joined(separator: ", ")
            findings.append(
                SourceFinding(.warning, "\(field) has several types: \(list); the stream goes by \(kind.rawValue)s"))
        }
        if seen < total {
            findings.append(
                SourceFinding(
                    .warning, "the watermark \(field) can't see \(total - seen) of \(total) documents",
                    hint: "mode: changes reads every document"))
        } else {
            findings.append(SourceFinding(.ok, "every document has a \(kind.rawValue) in \(field)"))
        }
        return findings
    }

    private func indexFindings(_ field: String, _ collection: FirestoreCollection) async -> [SourceFinding] {
        let path = "/collectionGroups/\(collection.collectionID)/fields/\(FirestoreQuery.quoted(field))"
        guard let indexes = try? await client.metadata(path)["indexConfig"] else { return [] }
        let scope = collection.isGroup ? "COLLECTION_GROUP" : "COLLECTION"
        let serves = indexes["indexes"]?.arrayValue?.contains { index in
            index["queryScope"]?.stringValue == scope
                && index["fields"]?.arrayValue?.first?["order"]?.stringValue == "ASCENDING"
        }
        if serves == true { return [SourceFinding(.ok, "\(field) is indexed")] }
        return [
            SourceFinding(
                .warning, "\(field) has no ascending single-field index of the scope \(scope)",
                hint: "add it in the console (Firestore, Indexes, Single field), or use mode: changes")
        ]
    }
}
