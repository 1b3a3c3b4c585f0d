/// What a stream's position belongs to (contract section 3): kept as lines `label: value` and compared line by line.
struct PositionIdentity {
    private let parts: [(label: String, value: String)]

    init(_ stream: StreamConfiguration, _ source: any Source) {
        parts = [
            ("source", source.location),
            ("from", stream.from ?? ""),
            ("query", stream.query ?? ""),
            ("key", stream.key.joined(separator: ",")),
            ("mode", stream.mode.rawValue),
            ("watermark", stream.mode == .incremental ? stream.watermark ?? "" : ""),
            ("destination endpoint", stream.endpoint),
            ("table", stream.table),
        ]
    }

    var text: String {
        parts.map { "\($0.label): \($0.value.split(whereSeparator: \.isNewline).joined(separator: " "))" }
            .joined(separator: "\n")
    }

    /// - Throws: `ExtractError` of kind `.configuration` that names what is kept and what is configured.
    func compare(withKept kept: String, stream: String) throws {
        guard kept != text else { return }
        let before = kept.split(separator: "\n", omittingEmptySubsequences: false)
        let now = text.split(separator: "\n", omittingEmptySubsequences: false)
        let differences = zip(before, now).filter { $0 != $1 }.map { "kept \"\($0)\", configured \"\($1)\"" }
        throw ExtractError(
            .configuration,
            "the position of stream \(stream) belongs to something else: " + differences.joined(separator: "; "),
            hint:
                "etlctl watermark reset \(stream) begins anew, etlctl watermark set \(stream) VALUE goes on from a value, or set the configuration back"
        )
    }
}
