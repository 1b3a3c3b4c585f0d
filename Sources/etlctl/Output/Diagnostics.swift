import Synchronization

/// Standard error: whole lines, and below them one status line that is redrawn on a terminal.
///
/// All of it passes here, so that a log line never lands in the middle of the status line, and so that there is one
/// place that takes secrets out.
final class Diagnostics: Sendable {
    private struct State {
        var status = ""
        var secrets: [String] = []
    }

    let stream: TextStream
    private let state = Mutex(State())

    init(_ stream: TextStream) { self.stream = stream }

    /// Texts that are never printed from now on. Those under four bytes are left out: they are too common in other
    /// words, and no message of ours quotes them.
    func conceal(_ secrets: [SecretString]) {
        state.withLock { state in
            state.secrets += secrets.map(\.exposed).filter { $0.utf8.count >= 4 && !state.secrets.contains($0) }
            // The longest first: one secret may be part of another.
            state.secrets.sort { $0.utf8.count > $1.utf8.count }
        }
    }

    /// The text with every known secret replaced.
    func redacted(_ text: String) -> String {
        state.withLock { Self.redacted(text, secrets: $0.secrets) }
    }

    private static func redacted(_ text: String, secrets: [String]) -> String {
        var output = text
        for secret in secrets { output.replace(secret, with: "<redacted>") }
        return output
    }

    /// One line, above the status line. An error stream that can't be written leaves nowhere to say so.
    func line(_ text: String) {
        state.withLock { state in
            let clean = Self.redacted(text, secrets: state.secrets)
            let erase = state.status.isEmpty ? "" : Self.eraseLine
            try? stream.write("\(erase)\(clean)\n\(state.status)")
        }
    }

    /// Replaces the status line, cut to the terminal's width; an empty text removes it.
    func setStatus(_ text: String) {
        let cut = String(Readable.plain(text).prefix(max(stream.width - 1, 1)))
        state.withLock { state in
            guard cut != state.status else { return }
            try? stream.write((state.status.isEmpty ? "" : Self.eraseLine) + cut)
            state.status = cut
        }
    }

    /// Back to the first column, then clear to the end of the line.
    private static let eraseLine = "\r\u{1b}[K"
}
