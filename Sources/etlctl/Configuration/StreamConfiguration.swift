/// One entry of `streams:`, a configured flow into one table.
struct StreamConfiguration: Sendable, Equatable {
    var name: String
    /// The name of its source.
    var source: String
    var kind: SourceKind
    var input: StreamInput
    var mode: StreamMode
    /// The source's field that an incremental run goes by.
    var watermark: String?
    /// nil: the default, 5 minutes for every time watermark, else 0.
    var lookback: Lookback?
    /// The key's columns; empty: the source's default (the primary key).
    var key: [String]
    /// The BigQuery table, a valid id.
    var table: String
    var fields: FieldSelection
    /// By column name, after sanitising.
    var rename: [String: String]
    /// By final column name.
    var types: [String: ColumnType]
    var nested: NestedForm
    /// Readers for one stream.
    var parallel: Int
    var generation: Int64
    /// 0: no limit.
    var maximumReads: Int64
    /// Only streams of a files source have it.
    var files: FileOptions?

    var path: String { "streams.\(name)" }
}

/// What a stream reads at its source.
enum StreamInput: Sendable, Equatable {
    /// A collection, table or glob.
    case from(String)
    case query(String)
}

enum StreamMode: String, Sendable, Equatable, CaseIterable {
    case full
    case incremental
    case changes
}

/// How far behind the watermark a run starts.
enum Lookback: Sendable, Equatable {
    /// For time watermarks.
    case duration(Duration)
    /// For integer watermarks.
    case number(Int64)
}

/// Which of the source's fields are read; metadata columns always come.
enum FieldSelection: Sendable, Equatable {
    case all
    case only([String])
    case except([String])
}

/// The BigQuery type that nested values get.
enum NestedForm: String, Sendable, Equatable, CaseIterable {
    /// JSON text in a STRING column.
    case string
    /// JSON text in a JSON column.
    case json
}

/// How the objects of a files stream are read.
struct FileOptions: Sendable, Equatable {
    /// nil: by the object's extension.
    var format: FileFormat?
    /// One ASCII character.
    var delimiter: String
    /// One ASCII character; nil: nothing quotes.
    var quote: String?
    /// false: columns are `c1`, `c2` ...
    var hasHeader: Bool
    var encoding: String
    /// Unquoted texts that mean null.
    var nulls: [String]
    var onBadRow: BadRowPolicy
}

enum FileFormat: String, Sendable, Equatable, CaseIterable {
    case csv
    case jsonl
    case parquet
}

/// What a line that can't be parsed does.
enum BadRowPolicy: String, Sendable, Equatable, CaseIterable {
    /// It is spooled as a rejected row and the run goes on.
    case reject
    /// The run stops.
    case stop
}
