import Extract
import JSONBytes
import Logging
import Spool

/// Extracts streams side by side and reports how each ended.
struct ExtractWork: Sendable {
    let environment: CommandEnvironment
    let store: SpoolStore
    let options: ExtractOptions
    let progress: ProgressReporter

    /// Streams read at once. They mostly wait for their sources, and share one writer.
    private static let streamsAtOnce = 4

    func run(_ streams: [StreamConfiguration]) async -> ExtractReport {
        let progress = progress
        let extractor = Extractor(
            store: store, options: options, holder: environment.holder("extract"),
            progress: { page in
                progress.update(page.stream, rows: Int64(page.rowsRead))
                progress.detail(
                    "\(page.stream): a page is committed; \(page.rowsRead) rows read, \(page.rowsSpooled) spooled")
            })
        var results: [Int: ExtractResult] = [:]
        await withTaskGroup(of: (Int, ExtractResult).self) { group in
            var next = 0
            func startNext() {
                guard next < streams.count else { return }
                let (index, stream) = (next, streams[next])
                next += 1
                group.addTask { (index, await extract(stream, extractor)) }
            }
            for _ in 0..<Self.streamsAtOnce { startNext() }
            while let (index, result) = await group.next() {
                results[index] = result
                startNext()
            }
        }
        return ExtractReport(results: streams.indices.compactMap { results[$0] })
    }

    private func extract(_ stream: StreamConfiguration, _ extractor: Extractor) async -> ExtractResult {
        let request = environment.request(for: stream)
        // From here on there is something to tell, however long the source takes for its first row.
        progress.update(stream.name, rows: 0)
        var result: ExtractResult
        do {
            result = await extractor.extract(request, from: try await environment.source(of: stream))
        } catch {
            result = ExtractResult(stream: stream.name, mode: request.mode, status: .failed)
            result.error = error
        }
        if let mismatch = result.error as? PositionMismatch { result.error = failure(mismatch, stream) }
        result.error = result.error.map { environment.configuration.located($0, reading: stream) }
        return result
    }

    private func failure(_ mismatch: PositionMismatch, _ stream: StreamConfiguration) -> Failure {
        let configuration = environment.configuration
        let refusal = StreamPosition(text: mismatch.kept).flatMap {
            StreamPosition(of: stream, in: configuration).refusal(of: $0, for: stream, in: configuration)
        }
        return refusal
            ?? .config(
                "The position of stream \(stream.name) belongs to something else than what is configured.",
                hint: "`etlctl watermark reset \(stream.name)` begins anew.")
    }
}

/// How an extraction of several streams ended.
struct ExtractReport: Sendable {
    var results: [ExtractResult] = []

    /// The first stream's failure decides the exit code.
    var failure: Failure? { results.compactMap(\.error).first.map(Failure.init(describing:)) ?? rejections }

    /// A run that is whole but for lines that could not be parsed.
    private var rejections: Failure? {
        let hurt = results.filter { $0.rejected > 0 }
        let count = hurt.reduce(0) { $0 + $1.rejected }
        guard count > 0 else { return nil }
        let names = hurt.map(\.stream).joined(separator: ", ")
        return .data(
            "\(Readable.count(Int64(count), "line")) of \(names) could not be parsed; everything else is spooled.",
            hint:
                "etlctl audit rows --state rejected shows them; mend them at the source, or etlctl discard gives them up."
        )
    }

    /// Tells what went wrong, for extractions that no result is printed of, because others follow.
    func log(to console: Console) {
        for result in results {
            if let error = result.error {
                console.log.error("\(result.stream): \(Failure(describing: error).description)")
            } else if result.rejected > 0 {
                let lines = Readable.count(Int64(result.rejected), "line")
                console.log.error(
                    "\(result.stream): \(lines) could not be parsed; see etlctl audit rows --state rejected")
            }
        }
    }

    var json: JSONValue { ["streams": .array(results.map(Self.json))] }

    func outcome(_ interruption: Interruption) -> CommandOutcome {
        CommandOutcome(
            json: json, text: text,
            failure: interruption.failure("The extraction was interrupted; committed pages are kept.") ?? failure)
    }

    private static func json(_ result: ExtractResult) -> JSONValue {
        [
            "stream": .string(result.stream), "run_id": .string(result.runID), "mode": .string(result.mode.rawValue),
            "status": .string(result.status.rawValue), "rows_read": .int(result.counters.rowsRead),
            "rows_spooled": .int(result.counters.rowsSpooled), "rows_unchanged": .int(result.counters.rowsUnchanged),
            "deletes": .int(result.counters.deletes), "source_reads": .int(result.counters.sourceReads),
            "watermark": .string(result.watermark),
            "warnings": .array(
                result.warnings.map {
                    ["code": .string($0.code), "message": .string($0.message), "count": .int($0.count)]
                }),
            "error": .string(result.error.map { Failure(describing: $0).message }),
            "seconds": .double(result.duration / .seconds(1)),
        ]
    }

    var text: String {
        var table = TextTable(
            "STREAM", "MODE", "STATUS", "READ", "SPOOLED", "UNCHANGED", "DELETES", "READS BILLED", "TIME")
        for result in results {
            let counters = result.counters
            table.append(
                .text(result.stream), .text(result.mode.rawValue), .text(result.status.rawValue),
                .count(counters.rowsRead),
                .count(counters.rowsSpooled), .count(counters.rowsUnchanged), .count(counters.deletes),
                .count(counters.sourceReads), .duration(result.duration))
        }
        var lines = [table.text]
        for result in results {
            lines += result.warnings.map { "\(result.stream): warning \($0.code): \(Readable.plain($0.message))" }
        }
        // The first failure is printed by itself.
        for result in results.filter({ $0.error != nil }).dropFirst() {
            if let error = result.error {
                lines.append("\(result.stream): \(Readable.plain(Failure(describing: error).description))")
            }
        }
        return lines.joined(separator: "\n")
    }
}
