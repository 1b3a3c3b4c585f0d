internal import Spool

/// Ids of runs: the moment they began, for people, and 40 random bits, for uniqueness.
enum RunID {
    static func make(now: Timestamp) -> String {
        let text = now.description.prefix(19).filter { $0 != "-" && $0 != ":" }
        let alphabet = Array("0123456789abcdefghjkmnpqrstvwxyz")
        let random = (0..<8).map { _ in alphabet[Int.random(in: 0..<alphabet.count)] }
        return text + "Z-" + String(random)
    }
}
