extension Duration {
    /// Whole milliseconds, rounded down; at most what libcurl's and poll's 32-bit limits hold.
    var milliseconds: Int {
        let (seconds, attoseconds) = components
        guard seconds < 2_000_000 else { return 2_000_000_000 }
        return Int(seconds) * 1000 + Int(attoseconds / 1_000_000_000_000_000)
    }

    /// For messages: `10 s`, `0.25 s`.
    var inSeconds: String {
        let milliseconds = milliseconds
        guard !milliseconds.isMultiple(of: 1000) else { return "\(milliseconds / 1000) s" }
        return "\(Double(milliseconds) / 1000) s"
    }
}
