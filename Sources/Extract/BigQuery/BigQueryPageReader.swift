internal import JSONBytes
internal import Spool

/// Makes records of a result's rows, as many at a time as a page of the spool takes.
///
/// Not `Sendable`: it belongs to the run's task.
final class BigQueryPageReader {
    private let run: RunContext
    private let normalizer: BigQueryNormalizer
    /// The watermark column's type; nil where there is none.
    let watermarkKind: BigQueryField.Kind?
    private let scope: [UInt8]
    private var body: [UInt8] = []
    /// Where the next row begins; nil at the end of the page.
    private var at: Int?
    /// Rows up to here may have been spooled before.
    private let knownUpTo: [UInt8]?
    private var greatest: BigQueryWatermark?
    /// The watermark of the row taken last.
    private(set) var last: BigQueryWatermark?

    init(run: RunContext, fields: [BigQueryField]) throws {
        self.run = run
        let stream = run.stream
        for name in stream.key where BigQueryNormalizer.place(of: name, in: fields) == nil {
            throw ExtractError(
                .configuration, "the rows of stream \(stream.name) have no column \(name)",
                hint: "check key: of the stream")
        }
        let watermark = stream.mode == .incremental ? stream.watermark : nil
        let field = watermark.flatMap { BigQueryNormalizer.place(of: $0, in: fields) }.map { fields[$0] }
        if let field {
            // It is always among the fields, whatever columns and exclude say.
            run.page.fields.select(Array(field.name.utf8).withUnsafeBytes(run.page.fields.number))
        }
        normalizer = BigQueryNormalizer(
            page: run.page, fields: fields, key: stream.key, watermark: watermark, nestsAsJSON: stream.nestsAsJSON)
        watermarkKind = field?.kind
        let kept = run.state.watermark.flatMap { kept in
            field.flatMap { BigQueryWatermark(kept.value, $0.kind) }
        }
        knownUpTo = [kept?.sortKey, run.spooledAhead].compactMap { $0 }.max { $0.lexicographicallyPrecedes($1) }
        scope = Array((stream.from ?? stream.name).utf8)
    }

    func begin(_ page: BigQueryPage) {
        body = page.body
        at = page.rowsStart
    }

    /// The greater of a kept watermark and those seen.
    func greatest(than kept: String?) -> BigQueryWatermark? {
        guard let kind = watermarkKind, let other = kept.flatMap({ BigQueryWatermark($0, kind) }) else {
            return greatest
        }
        guard let greatest else { return other }
        return greatest.sortKey.lexicographicallyPrecedes(other.sortKey) ? other : greatest
    }

    /// Takes rows until the spool's page is full or the answer's rows end; returns how many.
    ///
    /// - Throws: `JSONSyntaxError` for what is no row; `ExtractError` of kind `.configuration` for a key that is null.
    func takeRows() throws -> Int {
        guard let start = at else { return 0 }
        var taken = 0
        var next: Int?
        try body.withUnsafeBytes { bytes in
            guard let base = bytes.baseAddress else { return }
            var reader = JSONReader(base.assumingMemoryBound(to: UInt8.self), count: bytes.count, at: start)
            // At the array's beginning, or behind a row's comma.
            if try reader.peek() == UInt8(ascii: "["), try !reader.enterArray() { return }
            repeat {
                if run.isPageFull {
                    next = reader.at
                    return
                }
                try take(&reader)
                taken += 1
            } while try reader.hasNextItem()
        }
        at = next
        return taken
    }

    private func take(_ reader: inout JSONReader) throws {
        let page = run.page
        let parts = try normalizer.readRow(&reader)
        run.countRecord()
        run.countReads(1)
        var record: PageBuilder.Record
        if !run.stream.key.isEmpty {
            guard let key = parts.key else {
                var error = ExtractError(
                    .configuration,
                    "a row of stream \(run.stream.name) has no value in its key \(run.stream.key.joined(separator: ", "))",
                    hint: "set key: to columns without nulls")
                // The job's result stays as it is, also once the row is mended.
                error.endsRun = true
                throw error
            }
            record = PageBuilder.Record(slots: parts.slots, id: key, version: key, identity: key)
            if run.stream.mode == .changes {
                record.knownKey = key
            } else {
                // Nothing makes a key unique here: of rows that are equal in all, one is spooled.
                record.countScope = key
                record.dropsEqualRows = true
            }
        } else {
            let table = scope.withUnsafeBytes(page.keep)
            record = PageBuilder.Record(slots: parts.slots, version: table, identity: table)
            record.countScope = table
        }
        record.hashesFields = true
        record.mayRepeat = run.usesTemporaryIndex
        if let kind = watermarkKind, parts.hasWatermark,
            let value = BigQueryWatermark(normalizer.watermark.string, kind)
        {
            last = value
            if greatest.map({ $0.sortKey.lexicographicallyPrecedes(value.sortKey) }) ?? true { greatest = value }
            record.sortKey = value.sortKey.withUnsafeBytes(page.keep)
            if let knownUpTo, !knownUpTo.lexicographicallyPrecedes(value.sortKey) { record.mayRepeat = true }
        }
        page.add(record)
    }
}
