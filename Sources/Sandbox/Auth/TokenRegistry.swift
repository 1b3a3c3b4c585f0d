/// Keys that may ask for tokens, and the tokens that were granted.
struct TokenRegistry: Sendable {
    mutating func register(keyFile: String) throws {}
    mutating func revokeAll() {}
}
