import Foundation
import JSONBytes
import Logging

/// Logs for people: `etlctl: message`, with the level where it is a warning or worse, and the fields behind it.
struct TextLogHandler: LogHandler {
    let diagnostics: Diagnostics
    var logLevel: Logger.Level
    var metadata: Logger.Metadata = [:]
    var metadataProvider: Logger.MetadataProvider?

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        let fields = metadata.merging(event.metadata ?? [:]) { $1 }
        let shown = fields.sorted { $0.key < $1.key }.map { "\($0.key)=\(Readable.plain($0.value.description))" }
        let suffix = shown.isEmpty ? "" : " (\(shown.joined(separator: ", ")))"
        let level =
            switch event.level {
            case .trace, .debug: "debug: "
            case .info, .notice: ""
            case .warning: "warning: "
            case .error, .critical: "error: "
            }
        // A hint stands on a line of its own, so a message may have several.
        let lines = event.message.description.split(separator: "\n").map { Readable.plain(String($0)) }
        diagnostics.line("etlctl: \(level)\(lines.joined(separator: "\n  "))\(suffix)")
    }
}

/// Logs for Cloud Logging: one object a line with `severity`, `message`, `time`, and the fields beside them.
struct JSONLogHandler: LogHandler {
    let diagnostics: Diagnostics
    let now: @Sendable () -> Date
    var logLevel: Logger.Level
    var metadata: Logger.Metadata = [:]
    var metadataProvider: Logger.MetadataProvider?

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        var object: JSONValue = [
            "severity": .string(Self.severity(of: event.level)), "message": .string(event.message.description),
            "time": .string(now().formatted(Date.ISO8601FormatStyle(includingFractionalSeconds: true))),
        ]
        let fields = metadata.merging(event.metadata ?? [:]) { $1 }
        for (name, value) in fields.sorted(by: { $0.key < $1.key }) where object[name] == nil {
            object = object.with(name, Self.json(value))
        }
        diagnostics.line(object.text)
    }

    /// The names of Cloud Logging's LogSeverity.
    private static func severity(of level: Logger.Level) -> String {
        switch level {
        case .trace, .debug: "DEBUG"
        case .info: "INFO"
        case .notice: "NOTICE"
        case .warning: "WARNING"
        case .error: "ERROR"
        case .critical: "CRITICAL"
        }
    }

    private static func json(_ value: Logger.MetadataValue) -> JSONValue {
        switch value {
        case .string(let text): .string(text)
        case .stringConvertible(let value):
            switch value {
            case let number as any BinaryInteger: .int(Int64(clamping: number))
            case let number as Double: .double(number)
            case let flag as Bool: .bool(flag)
            default: .string(value.description)
            }
        case .array(let values): .array(values.map(json))
        case .dictionary(let fields):
            .object(fields.sorted { $0.key < $1.key }.map { JSONMember($0.key, json($0.value)) })
        }
    }
}
