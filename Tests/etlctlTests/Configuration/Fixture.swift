import Testing

@testable import etlctl

/// Decodes a text as if it stood in `/project/etl.yaml`.
func decode(_ text: String, environment: [String: String] = [:]) throws(Failure) -> Configuration {
    try ConfigurationLoader.decode(
        text, path: "/project/etl.yaml", displayName: "etl.yaml", environment: environment)
}

/// The failure of a text that must not be accepted.
func rejection(
    of text: String, environment: [String: String] = [:], sourceLocation: SourceLocation = #_sourceLocation
) throws -> Failure {
    try #require(throws: Failure.self, sourceLocation: sourceLocation) {
        try decode(text, environment: environment)
    }
}

/// A file with one source of every type and no streams; four lines of destination come first.
let everySource = """
    destination:
      project: b2b-recs
      dataset: raw_data
    sources:
      app: {type: firestore, project: b2b-recs}
      shop: {type: postgres, url: "postgres://etl@db.example/shop"}
      erp: {type: mysql, url: "mysql://etl@erp.example/erp"}
      dw: {type: bigquery, project: other-project}
      drops: {type: files, url: "gs://bucket/exports/"}

    """

/// `everySource` with one stream `memos`, whose lines start on line 12 of the file.
func stream(_ lines: String...) -> String {
    everySource + "streams:\n  memos:\n" + lines.map { "    \($0)\n" }.joined()
}
