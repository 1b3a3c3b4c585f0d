internal import JSONBytes
internal import Spool

/// The metadata columns at the head of every row, under their final names.
struct RowFrame {
    private let names: [MetadataColumn: String]
    private let openings: [MetadataColumn: [UInt8]]
    private let runID: [UInt8]

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
        self.openings = openings
        let quoted = ByteBuffer(capacity: 64)
        quoted.appendJSONString(runID)
        self.runID = quoted.array
        id = openings[.id] ?? []
        path = openings[.path] ?? []
        createdAt = openings[.createdAt] ?? []
        updatedAt = openings[.updatedAt] ?? []
        extractedAt = openings[.extractedAt] ?? []
        run = openings[.runID] ?? []
        operation = openings[.operation] ?? []
        insertID = openings[.insertID] ?? []
        rescued = openings[.rescued] ?? []
    }

    private let id: [UInt8]
    private let path: [UInt8]
    private let createdAt: [UInt8]
    private let updatedAt: [UInt8]
    private let extractedAt: [UInt8]
    private let run: [UInt8]
    private let operation: [UInt8]
    private let insertID: [UInt8]
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
        append(moment, to: row)
        row.append(run)
        row.append(runID)
        row.append(operation)
        row.append(record.operation == .upsert ? "\"upsert\"" : "\"delete\"")
        row.append(self.insertID)
        row.append(UInt8(ascii: "\""))
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
