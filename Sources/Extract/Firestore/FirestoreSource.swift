internal import JSONBytes
package import Spool
package import Transport

/// Firestore in native mode, over REST.
package struct FirestoreSource: CheckableSource {
    package static let kind = "firestore"

    package struct Configuration: Sendable {
        package var project: String
        package var database: String
        /// `http://host:port` or nil for Google's.
        package var endpoint: String?

        package init(project: String, database: String = "(default)", endpoint: String? = nil) {
            self.project = project
            self.database = database
            self.endpoint = endpoint
        }
    }

    /// There is no read-only scope for Firestore: reading only must come from the role (roles/datastore.viewer).
    package static let scopes = ["https://www.googleapis.com/auth/datastore"]

    let client: FirestoreClient
    package let location: String

    package init(_ configuration: Configuration, http: AuthorizedClient) {
        let base = configuration.endpoint ?? "https://firestore.googleapis.com"
        let database = "projects/\(configuration.project)/databases/\(configuration.database)"
        client = FirestoreClient(
            http: http, base: (base.hasSuffix("/") ? String(base.dropLast()) : base) + "/v1/", database: database,
            isEmulator: !base.contains(".googleapis.com"))
        location = "firestore \(database)"
    }

    /// Why a stream's `from` can't be read; nil for a good one.
    package static func problem(withFrom from: String) -> String? { FirestoreCollection.problem(with: from) }

    /// What `from` may look like, for messages.
    package static var formsOfFrom: String { FirestoreCollection.forms }

    package func validate(_ stream: ExtractRequest) throws {
        guard let from = stream.from else {
            throw ExtractError(
                .configuration, "stream \(stream.name) names no collection",
                hint: "set from: to a collection such as memos; Firestore has no query:")
        }
        _ = try FirestoreCollection(parsing: from)
        if stream.mode == .incremental, stream.watermark == nil {
            throw ExtractError(
                .configuration, "stream \(stream.name) is incremental and names no watermark",
                hint: "set watermark: to a field, or use mode: changes")
        }
    }

    package func read(_ run: RunContext) async throws -> Bool {
        let reader = FirestoreReader(
            run: run, client: client, collection: try FirestoreCollection(parsing: run.stream.from ?? ""))
        switch run.stream.mode {
        case .full:
            return try await FirestoreFullRead(reader).read()
        case .incremental:
            // `--full` reads every document once, also those the watermark can't see. A run that was cut off is finished as it was begun.
            let everything = FirestoreFullRead(reader, remembersWatermark: true)
            let isFull = run.position == nil ? run.readsEverything : FirestoreFullRead.isPosition(run.position)
            guard !isFull, let field = run.stream.watermark else { return try await everything.read(lookingUp: true) }
            guard try await FirestoreIncrementalRead(reader, field: field).read() else { return false }
            return run.readsEverything ? try await everything.read(lookingUp: true) : true
        case .changes:
            // `--full` goes through the scan too: a plain full read would not see what is gone.
            return try await FirestoreChangesRead(reader).read()
        }
    }

    /// A watermark of the operator's choice, by the type class that the stream is known to have, else by what the text looks like. Nil for
    /// a text that is no value of that class.
    package static func watermark(_ text: String, for stream: ExtractRequest, notes: String?) -> Watermark? {
        let pinned = stream.watermark.flatMap { field in
            let column = ColumnNaming.sanitized(field)
            return stream.types[stream.rename[column] ?? column].flatMap(WatermarkClass.init(pinned:))
        }
        let kept = notes.flatMap { try? JSONValue(parsing: $0) }?["class"]?.stringValue
        let kinds =
            (pinned ?? kept.flatMap(WatermarkClass.init(rawValue:))).map { [$0] } ?? [.timestamp, .number, .string]
        for kind in kinds {
            guard let value = WatermarkValue(text: text, class: kind) else { continue }
            return Watermark(value: value.text, key: nil, sortKey: value.sortKey)
        }
        return nil
    }

    // MARK: Check

    /// One line of what `findings` tells.
    package func check(_ stream: ExtractRequest) async throws -> String {
        try await findings(stream).map(\.message).joined(separator: "; ")
    }

    /// Documents a full read would bring, by aggregation: one read for each started 1,000 of them.
    package func count(_ stream: ExtractRequest) async throws -> Int {
        try await client.count(FirestoreQuery(try FirestoreCollection(parsing: stream.from ?? "")), readTime: nil)
    }
}
