/// The written forms of durations and sizes: `90s`, `5m`, `12h`, `7d`; `512KiB`, `10MiB`, `20GiB`.
enum ValueText {
    private static let durationUnits: [(suffix: String, milliseconds: Int64)] = [
        ("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000),
    ]
    private static let sizeUnits: [(suffix: String, bytes: Int64)] = [
        ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40), ("B", 1),
    ]

    /// The pattern of a duration, as the JSON Schema has it.
    static let durationPattern = "^([0-9]+(ms|s|m|h|d)|0)$"
    /// The pattern of a size, as the JSON Schema has it.
    static let sizePattern = "^[0-9]+(KiB|MiB|GiB|TiB|B)$"

    /// A whole number and a unit; `0` needs none. nil for anything else, and beyond what fits.
    static func duration(_ text: String) -> Duration? {
        if text == "0" { return .zero }
        guard let (number, factor) = split(text, durationUnits.map { ($0.suffix, $0.milliseconds) }) else { return nil }
        let (milliseconds, overflow) = number.multipliedReportingOverflow(by: factor)
        return overflow ? nil : .milliseconds(milliseconds)
    }

    /// A whole number and a binary unit. nil for anything else, and beyond what fits.
    static func size(_ text: String) -> Int64? {
        guard let (number, factor) = split(text, sizeUnits.map { ($0.suffix, $0.bytes) }) else { return nil }
        let (bytes, overflow) = number.multipliedReportingOverflow(by: factor)
        return overflow ? nil : bytes
    }

    /// The largest unit that gives a whole number.
    static func text(ofBytes bytes: Int64) -> String {
        for (suffix, factor) in sizeUnits.dropLast().reversed() where bytes >= factor && bytes % factor == 0 {
            return "\(bytes / factor)\(suffix)"
        }
        return "\(bytes)B"
    }

    /// The largest unit that gives a whole number, whole milliseconds at least.
    static func text(of duration: Duration) -> String {
        let (seconds, attoseconds) = duration.components
        let milliseconds = seconds * 1_000 + attoseconds / 1_000_000_000_000_000
        guard milliseconds != 0 else { return "0s" }
        for (suffix, factor) in durationUnits.reversed() where milliseconds.isMultiple(of: factor) {
            return "\(milliseconds / factor)\(suffix)"
        }
        return "\(milliseconds)ms"
    }

    private static func split(_ text: String, _ units: [(String, Int64)]) -> (Int64, Int64)? {
        let digits = text.prefix { $0.isASCII && $0.isNumber }
        guard let number = Int64(digits) else { return nil }
        let suffix = text[digits.endIndex...]
        guard let unit = units.first(where: { $0.0 == suffix }) else { return nil }
        return (number, unit.1)
    }
}
