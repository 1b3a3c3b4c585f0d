internal import JSONBytes
internal import Spool

/// The metadata columns at the head of every row, under their final names.
struct RowFrame {
    private let names: [MetadataColumn: String]

    /// - Parameter renames: by column name, also for metadata columns.
    init(runID: String, renames: [String: String]) {
        var names: [MetadataColumn: String] = [:]
        var openings: [MetadataColumn: [UInt8]] = [:]
        for column in MetadataColumn.allCases {
            let name = renames[column.rawValue] ?? column.rawValue
            names[column] = name
            let buffer = ByteBuffer(capacity: 64)
            buffer.append(UInt8(ascii: ","))
            buffer.appendJSONString(name)
            buffer.append(UInt8(ascii: ":"))
            openings[column] = buffer.array
        }
        self.names = names
        func opening(_ column: MetadataColumn) -> [UInt8] { openings[column] ?? [] }
        id = opening(.id)
        path = opening(.path)
        createdAt = opening(.createdAt)
        updatedAt = opening(.updatedAt)
        extractedAt = opening(.extractedAt) + Array("\"".utf8)
        rescued = opening(.rescued)
        let run = ByteBuffer(capacity: 64)
        run.append("\"")
        run.append(opening(.runID))
        run.appendJSONString(runID)
        run.append(opening(.operation))
        let insertID = opening(.insertID) + Array("\"".utf8)
        upsert = run.array + Array("\"upsert\"".utf8) + insertID
        delete = run.array + Array("\"delete\"".utf8) + insertID
    }

    private let id: [UInt8]
    private let path: [UInt8]
    private let createdAt: [UInt8]
    private let updatedAt: [UInt8]
    /// With the opening quote of its value.
    private let extractedAt: [UInt8]
    /// What stands between the moment and the insertId, by operation: from the moment's closing quote to the insertId's opening one.
    private let upsert: [UInt8]
    private let delete: [UInt8]
    /// `,"_rescued":`, which comes last of the metadata.
    let rescued: [UInt8]

    /// Final names of all metadata columns.
    var allNames: [String] { MetadataColumn.allCases.compactMap { names[$0] } }

    /// Writes `{` and the metadata members.
    func open(
        _ row: ByteBuffer, record: PageBuilder.Record, values: ByteBuffer, extractedAt moment: Timestamp,
        insertID: UnsafeRawBufferPointer
    ) {
        row.append(id)
        if let id = record.id { row.appendJSONString(values.bytes(id)) } else { row.append("null") }
        // The first member's comma becomes the object's brace.
        row.base[0] = UInt8(ascii: "{")
        if let place = record.path {
            row.append(path)
            row.appendJSONString(values.bytes(place))
        }
        if let created = record.createdAt {
            row.append(createdAt)
            append(created, to: row)
        }
        if let updated = record.updatedAt {
            row.append(updatedAt)
            append(updated, to: row)
        }
        row.append(extractedAt)
        row.append(moment)
        row.append(record.operation == .upsert ? upsert : delete)
        row.append(insertID)
        row.append(UInt8(ascii: "\""))
    }

    /// Which metadata columns this record has, as bits.
    func metadata(of record: PageBuilder.Record) -> UInt16 {
        (record.id == nil ? 0 : 1) | (record.path == nil ? 0 : 2) | (record.createdAt == nil ? 0 : 4)
            | (record.updatedAt == nil ? 0 : 8) | (record.rescues.isEmpty ? 0 : 16) | (record.isUntyped ? 32 : 0)
    }

    func shapeLines(of record: PageBuilder.Record) -> [String] {
        var columns: [(MetadataColumn, ValueType)] = [(.id, record.id == nil ? .null : .string)]
        if record.path != nil { columns.append((.path, .string)) }
        if record.createdAt != nil { columns.append((.createdAt, .timestamp)) }
        if record.updatedAt != nil { columns.append((.updatedAt, .timestamp)) }
        columns += [(.extractedAt, .timestamp), (.runID, .string), (.operation, .string), (.insertID, .string)]
        if !record.rescues.isEmpty { columns.append((.rescued, .string)) }
        return columns.map { "\(names[$0.0] ?? $0.0.rawValue)\t\($0.1.rawValue)\t\($0.0.rawValue)" }
    }

    private func append(_ moment: Timestamp, to row: ByteBuffer) {
        row.append(UInt8(ascii: "\""))
        row.append(moment)
        row.append(UInt8(ascii: "\""))
    }
}

extension ByteBuffer {
    /// Appends a moment's text.
    func append(_ moment: Timestamp) {
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: Timestamp.maximumTextLength) { text in
            guard let start = text.baseAddress else { return }
            append(start, count: moment.write(into: start))
        }
    }
}
