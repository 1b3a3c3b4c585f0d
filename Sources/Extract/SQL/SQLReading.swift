internal import JSONBytes
internal import Spool

/// The way of every SQL source: connect, look at the table, read it in the stream's mode, and connect again where reading was paused.
struct SQLReading {
    let location: String
    let connect: () async throws -> any SQLSession

    static func validate(_ stream: ExtractRequest) throws {
        guard stream.from != nil || stream.query != nil else {
            throw ExtractError(
                .configuration, "stream \(stream.name) names nothing to read",
                hint: "set from: schema.table, or query: SELECT ...")
        }
        if stream.mode == .incremental, stream.watermark == nil {
            throw ExtractError(
                .configuration, "stream \(stream.name) is incremental and names no watermark",
                hint: "set watermark: to a column, or use mode: changes")
        }
        if stream.mode == .changes, stream.query != nil, stream.key.isEmpty { throw noKey(stream, "the query") }
    }

    private static func noKey(_ stream: ExtractRequest, _ subject: String) -> ExtractError {
        ExtractError(
            .configuration, "stream \(stream.name) reads in mode changes, but \(subject) has no primary key",
            at: .stream("key"), hint: "set key: to the columns that tell its rows from each other, or use mode: full")
    }

    func read(_ run: RunContext) async throws -> Bool {
        while true {
            do {
                return try await readOnce(run)
            } catch is SQLPause {
                continue
            } catch {
                try Task.checkCancellation()
                throw error
            }
        }
    }

    private func readOnce(_ run: RunContext) async throws -> Bool {
        let session = try await connect()
        var reader: SQLReader?
        do {
            try await checkClock(run.options.clock(), session)
            let table = try await session.describe(run.stream)
            let made = try SQLReader(run: run, session: session, table: table, connect: connect)
            reader = made
            try await made.sortWholeValues()
            let isComplete = try await read(run, made)
            await made.close()
            return isComplete
        } catch {
            await reader?.close()
            await session.close()
            throw error
        }
    }

    private func read(_ run: RunContext, _ reader: SQLReader) async throws -> Bool {
        if run.stream.mode == .changes, !reader.hasKey { throw Self.noKey(run.stream, reader.table.subject) }
        guard run.stream.mode == .incremental, let column = reader.watermark else {
            return try await SQLSnapshotRead(reader: reader).read()
        }
        let incremental = try SQLIncrementalRead(reader, column: column)
        // A run that was cut off is finished as it was begun; what `--full` asks for comes after it.
        let isFull = run.position == nil ? run.readsEverything : SQLSnapshotRead.isPosition(run.position)
        if !isFull {
            guard try await incremental.read() else { return false }
            guard run.readsEverything else { return true }
        }
        return try await SQLSnapshotRead(reader: reader).read()
    }

    /// Refuses to go on with a clock that is more than a day away from the source's.
    private func checkClock(_ clock: Timestamp, _ session: any SQLSession) async throws {
        guard let text = try await session.firstRow(of: "SELECT \(session.grammar.now)")?.first ?? nil,
            let now = CivilText.microseconds(text).map(Timestamp.init(microseconds:))
        else { return }
        let skew = now.since(clock)
        guard skew < .seconds(86_400), skew > .seconds(-86_400) else {
            throw ExtractError(
                .configuration,
                "this machine's clock (\(clock)) is more than a day away from the source's (\(now))",
                hint: "set the clock right (NTP): _extracted_at and watermarks depend on it")
        }
    }

    /// The rows that a full read would bring.
    func count(_ stream: ExtractRequest) async throws -> Int {
        let session = try await connect()
        do {
            let table = try await session.describe(stream)
            let row = try await session.firstRow(of: "SELECT count(*) FROM \(table.relation)")
            await session.close()
            guard let count = row?.first?.flatMap({ Int($0) }) else {
                throw ExtractError(.unexpected, "counting \(table.subject) gave no number")
            }
            return count
        } catch {
            await session.close()
            throw error
        }
    }

    /// What `etlctl check` can tell of a stream without reading it.
    func check(_ stream: ExtractRequest) async throws -> String {
        let session = try await connect()
        do {
            let table = try await session.describe(stream)
            let resolver = SQLColumnResolver(table: table, stream: stream)
            try resolver.checkSelection()
            let key = try (stream.key.isEmpty ? table.primaryKey : stream.key).map { try resolver.column($0, "key") }
            if stream.mode == .changes, key.isEmpty { throw Self.noKey(stream, table.subject) }
            if let watermark = stream.watermark { _ = try resolver.column(watermark, "watermark") }
            _ = try await session.firstRow(of: "SELECT 1 FROM \(table.relation) LIMIT 1")
            await session.close()
            let columns = "\(table.columns.count) columns"
            return key.isEmpty
                ? "\(location) is reachable; \(table.subject) has \(columns) and no key"
                : "\(location) is reachable; \(table.subject) has \(columns), key \(key.map(\.name).joined(separator: ", "))"
        } catch {
            await session.close()
            throw error
        }
    }
}
