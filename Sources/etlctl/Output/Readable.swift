/// Numbers, sizes and times for people; JSON output has the plain values.
enum Readable {
    /// With thousands separators: `1,234,567`.
    static func count(_ value: Int64) -> String {
        let digits = String(value.magnitude)
        var output = ""
        for (index, digit) in digits.enumerated() {
            if index > 0, (digits.count - index).isMultiple(of: 3) { output += "," }
            output.append(digit)
        }
        return value < 0 ? "-" + output : output
    }

    /// A count with its noun: `1 row`, `2,000 rows`.
    static func count(_ value: Int64, _ noun: String) -> String {
        "\(count(value)) \(noun)\(value == 1 ? "" : "s")"
    }

    /// In binary units, one decimal below 10: `812 B`, `5.2 MiB`, `20 GiB`.
    static func bytes(_ value: Int64) -> String {
        var number = Double(value)
        var unit = "B"
        for next in ["KiB", "MiB", "GiB", "TiB"] where number.magnitude >= 1_023.5 {
            number /= 1_024
            unit = next
        }
        return "\(unit == "B" ? count(value) : decimal(number)) \(unit)"
    }

    /// In the two largest units that matter: `350 ms`, `3.2 s`, `45 s`, `2 min 5 s`, `3 h 20 min`, `6 d 4 h`.
    static func duration(_ value: Duration) -> String {
        let (seconds, attoseconds) = value.components
        let fraction = Double(seconds) + Double(attoseconds) / 1e18
        switch fraction {
        case ..<0: return "-" + duration(.zero - value)
        case ..<0.9995: return "\(Int((fraction * 1_000).rounded())) ms"
        case ..<9.95: return "\(decimal(fraction)) s"
        default: break
        }
        let whole = Int64(fraction.rounded())
        switch whole {
        case ..<60: return "\(whole) s"
        case ..<3_600: return pair(whole, 60, "min", "s", unit: 1)
        case ..<86_400: return pair(whole, 3_600, "h", "min", unit: 60)
        default: return pair(whole, 86_400, "d", "h", unit: 3_600)
        }
    }

    /// The text without anything that a terminal would obey: control characters become `\u{..}`.
    static func plain(_ text: String) -> String {
        guard text.unicodeScalars.contains(where: isControl) else { return text }
        var output = ""
        for scalar in text.unicodeScalars {
            if isControl(scalar) {
                output += "\\u{\(String(scalar.value, radix: 16))}"
            } else {
                output.unicodeScalars.append(scalar)
            }
        }
        return output
    }

    /// C0, DEL, C1, and the marks that turn the direction of writing.
    private static func isControl(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0..<0x20, 0x7f...0x9f, 0x202a...0x202e, 0x2066...0x2069: true
        default: false
        }
    }

    private static func decimal(_ value: Double) -> String {
        guard value.magnitude < 9.95 else { return count(Int64(value.rounded())) }
        let tenths = Int64((value * 10).rounded())
        return "\(tenths / 10).\(tenths.magnitude % 10)"
    }

    private static func pair(_ seconds: Int64, _ large: Int64, _ name: String, _ next: String, unit: Int64) -> String {
        let rest = seconds % large / unit
        return rest == 0 ? "\(seconds / large) \(name)" : "\(seconds / large) \(name) \(rest) \(next)"
    }
}
