/// Text that may hold a password: it never shows itself, neither in descriptions nor in dumps.
struct SecretString: Sendable, Equatable {
    /// The text itself, for the one call that needs it. Never for a message.
    let exposed: String

    init(_ text: String) { exposed = text }
}

extension SecretString: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    var description: String { "<redacted>" }
    var debugDescription: String { description }
    var customMirror: Mirror { Mirror(self, children: []) }
}
