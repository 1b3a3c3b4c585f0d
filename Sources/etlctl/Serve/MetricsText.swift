/// One metric with all its series.
struct MetricFamily: Sendable {
    enum Kind: String, Sendable {
        case gauge
        case counter
    }

    struct Series: Sendable {
        var labels: [(name: String, value: String)]
        var value: Double
    }

    let name: String
    /// What it means, in one line.
    let help: String
    var series: [Series] = []

    init(_ name: String, _ help: String) {
        self.name = name
        self.help = help
    }

    /// Prometheus' convention: counters, and nothing else, end with `_total`.
    var kind: Kind { name.hasSuffix("_total") ? .counter : .gauge }

    mutating func add(_ value: Double, _ labels: (String, String)...) {
        series.append(Series(labels: labels, value: value))
    }

    mutating func add(_ value: some BinaryInteger, _ labels: (String, String)...) {
        series.append(Series(labels: labels, value: Double(value)))
    }
}

/// Prometheus' text format, version 0.0.4 (prometheus.io, exposition formats).
enum MetricsText {
    static func text(of families: [MetricFamily]) -> String {
        var text = ""
        // A family without a series says nothing.
        for family in families where !family.series.isEmpty {
            text += "# HELP \(family.name) \(escaped(family.help, quotes: false))\n"
            text += "# TYPE \(family.name) \(family.kind.rawValue)\n"
            for series in family.series {
                text += family.name
                if !series.labels.isEmpty {
                    let labels = series.labels.map { "\($0.name)=\"\(escaped($0.value, quotes: true))\"" }
                    text += "{\(labels.joined(separator: ","))}"
                }
                text += " \(number(series.value))\n"
            }
        }
        return text
    }

    private static func escaped(_ text: String, quotes: Bool) -> String {
        var output = ""
        // By scalars: `\r\n` is one character.
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\\": output += "\\\\"
            case "\n": output += "\\n"
            case "\"" where quotes: output += "\\\""
            default: output.unicodeScalars.append(scalar)
            }
        }
        return output
    }

    private static func number(_ value: Double) -> String {
        if let whole = Int64(exactly: value) { return String(whole) }
        if value.isNaN { return "NaN" }
        return value.isFinite ? value.description : value < 0 ? "-Inf" : "+Inf"
    }
}
