/// Why there is no token. No case carries a token, key or password.
package enum AuthError: Error, Sendable, Equatable, CustomStringConvertible {
    /// The default credentials found nothing in any of their places.
    case noCredentials(reason: String)
    /// The credentials file is missing, unreadable, broken, or of a type that is not supported.
    case unreadableFile(path: String, reason: String)
    /// The token service knows the credentials and refuses them; trying again does not help.
    case refused(principal: String, reason: String)
    /// The token service can't be reached or answers nonsense; later it may be well.
    case unavailable(reason: String)
    /// The task was cancelled while it waited for a token.
    case cancelled

    package var isTransient: Bool {
        switch self {
        case .unavailable: true
        case .noCredentials, .unreadableFile, .refused, .cancelled: false
        }
    }

    package var description: String {
        switch self {
        case .noCredentials(let reason): "no credentials found: \(reason)"
        case .unreadableFile(let path, let reason): "the credentials file \(path) can't be used: \(reason)"
        case .refused(let principal, let reason): "the credentials of \(principal) were refused: \(reason)"
        case .unavailable(let reason): "no access token at the moment: \(reason)"
        case .cancelled: "cancelled while waiting for an access token"
        }
    }
}
