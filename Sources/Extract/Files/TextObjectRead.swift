internal import JSONBytes
internal import Spool

/// Reads one CSV or JSON lines object into the page, from its beginning or from where an earlier read stood.
struct TextObjectRead {
    private let context: ObjectContext
    private let compression: Compression?
    private let encoding: TextEncoding
    private let reader: any TextRecordReader
    private let row: FileRow
    private var run: RunContext { context.run }

    init(_ context: ObjectContext, _ format: ObjectFormat, _ compression: Compression?) {
        self.context = context
        self.compression = compression
        let request = context.run.stream
        row = FileRow(page: context.run.page, key: request.key)
        if format == .csv {
            encoding = TextEncoding(name: request.files.encoding) ?? .utf8
            row.isUntyped = true
            reader = CSVReader(request.files.csv)
        } else {
            encoding = .utf8
            reader = JSONLinesReader(nestsAsJSON: request.nestsAsJSON)
        }
    }

    /// Returns false when a budget ended it early.
    func read() async throws -> Bool {
        let bytes = try await begin()
        var records = ObjectRecords(
            run: run, row: row, object: context.object, url: context.url, reading: context.reading)
        while true {
            switch try reader.next(into: row) {
            case .row:
                if reader.place.row == 1 { try checkKey() }
                records.addRow(number: reader.place.row)
            case .bad(let line):
                guard !run.stream.files.stopsAtBadRow else { throw try await stop(at: line) }
                records.addBad(line)
                context.files.noteRejected("line \(line.line) of \(context.object.name) (\(line.reason))")
            case .needsMore:
                try Task.checkCancellation()
                if let piece = try await bytes.next() { reader.feed(piece) } else { reader.finish() }
                continue
            case .end:
                context.end(at: reader.place)
                return true
            }
            guard run.isPageFull || run.isExhausted else { continue }
            context.stand(at: reader.place)
            try await context.files.commitBeside()
            records.pageWasEmptied()
            if run.isExhausted { return false }
        }
    }

    /// A key that the header does not have is a mistake of the configuration, not of the rows.
    private func checkKey() throws {
        guard let names = (reader as? CSVReader)?.columnNames, !names.isEmpty else { return }
        let known = Set(names.map(\.exact))
        for key in run.stream.key where !known.contains(key.exact) {
            throw ExtractError(
                .configuration,
                "\(context.url) has no column \(key), which is part of the key of stream \(run.stream.name)",
                at: .stream("key"), hint: "its columns are \(names.prefix(50).joined(separator: ", "))")
        }
    }

    private func stop(at line: BadLine) async throws -> ExtractError {
        context.stand(at: reader.place)
        try await context.files.commit()
        var error = ExtractError(
            .malformed, "line \(line.line) of \(context.url) can't be parsed: \(line.reason)",
            hint: "mend the line, or set on_bad_row: reject to spool such lines as rejected rows")
        error.endsRun = true
        return error
    }

    // MARK: Beginning

    /// Opens the object where reading begins, the header of CSV read.
    private func begin() async throws -> DecodedBytes {
        let place = context.part.place
        let bytes = try decoded(try await open(from: 0))
        guard let first = try await bytes.next() else {
            reader.finish()
            return bytes
        }
        try refuseOtherFormats(first)
        guard place.offset > 0 else {
            reader.feed(first)
            return bytes
        }
        return try await resume(at: place, first: first, bytes)
    }

    private func resume(at place: TextPlace, first: [UInt8], _ bytes: DecodedBytes) async throws -> DecodedBytes {
        var behind = Int64(first.count)
        var piece: [UInt8]? = first
        if let csv = reader as? CSVReader {
            while !csv.knowsColumns, let next = piece {
                csv.feed(next)
                try csv.readHeader(row)
                if csv.knowsColumns { break }
                piece = try await bytes.next()
                behind += Int64(piece?.count ?? 0)
            }
        }
        reader.resume(at: place)
        if compression == nil, encoding == .utf8, behind < place.offset {
            return try decoded(try await open(from: place.offset))
        }
        // What was unpacked before can only be unpacked again.
        while behind < place.offset, let next = try await bytes.next() {
            piece = next
            behind += Int64(next.count)
        }
        if behind >= place.offset, let piece { reader.feed(Array(piece.suffix(Int(behind - place.offset)))) }
        return bytes
    }

    private func open(from offset: Int64) async throws -> ObjectBody {
        try await ResumingBody(context.store, context.object, from: offset).body
    }

    private func decoded(_ body: ObjectBody) throws -> DecodedBytes {
        try DecodedBytes(body, compression: compression, encoding: encoding)
    }

    /// A name that promises text and an object that is none: said once, instead of for each of its lines.
    private func refuseOtherFormats(_ first: [UInt8]) throws {
        let kinds: [(String, [UInt8])] = [
            ("gzip", [0x1F, 0x8B]), ("zstd", [0x28, 0xB5, 0x2F, 0xFD]), ("Parquet", Array("PAR1".utf8)),
            ("zip", [0x50, 0x4B, 0x03, 0x04]),
        ]
        for (kind, magic) in kinds where first.starts(with: magic) {
            throw BrokenObject(reason: "it is a \(kind) file, which its name does not say")
        }
    }
}

/// Reads an object to its end over several connections: where one breaks, the next begins at the same byte, in the same version.
private final class ResumingBody: Sendable {
    /// Connections that may break without a byte between them.
    private static let maximumFailures = 3

    let body: ObjectBody

    init(_ store: any ObjectStore, _ object: StoredObject, from offset: Int64) async throws {
        let state = State(offset: offset, body: try await store.open(object, from: offset))
        body = ObjectBody { try await state.next(store, object) }
    }

    private actor State {
        private var offset: Int64
        private var body: ObjectBody
        private var failures = 0

        init(offset: Int64, body: ObjectBody) {
            self.offset = offset
            self.body = body
        }

        func next(_ store: any ObjectStore, _ object: StoredObject) async throws -> [UInt8]? {
            while true {
                do {
                    guard let chunk = try await body.next() else { return nil }
                    offset += Int64(chunk.count)
                    failures = 0
                    return chunk
                } catch let error as ExtractError where error.isTransient {
                    failures += 1
                    guard failures < ResumingBody.maximumFailures else { throw error }
                    body = try await store.open(object, from: offset)
                }
            }
        }
    }
}
