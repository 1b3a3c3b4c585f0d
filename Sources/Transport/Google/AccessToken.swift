package import FoundationEssentials

/// A bearer token. Its description and reflection never show it.
package struct AccessToken: Sendable, Equatable, CustomStringConvertible, CustomDebugStringConvertible,
    CustomReflectable
{
    package let value: String
    package let expiresAt: Date

    package init(_ value: String, expiresAt: Date) {
        self.value = value
        self.expiresAt = expiresAt
    }

    package var description: String { "<redacted>" }
    package var debugDescription: String { "<redacted>" }
    package var customMirror: Mirror { Mirror(self, children: []) }
}

/// Where bearer tokens come from.
package protocol TokenProvider: Sendable {
    /// A token that is good for minutes to come. Asks the network only when there is none at hand.
    func token() async throws(AuthError) -> AccessToken
    /// The token was refused: it is not given out again. A newer one stays.
    func invalidate(_ token: AccessToken) async
    /// Who the token speaks for, for messages: an e-mail address, or a description.
    var principal: String { get async }
    /// The project that pays for the calls of a user's credentials, sent as `x-goog-user-project`.
    var quotaProject: String? { get async }
}

/// One token for ever, such as `owner` for the Firestore emulator.
package struct StaticToken: TokenProvider {
    private let accessToken: AccessToken
    package let principal: String
    package let quotaProject: String?

    package init(_ value: String, principal: String = "a fixed token", quotaProject: String? = nil) {
        accessToken = AccessToken(value, expiresAt: .distantFuture)
        self.principal = principal
        self.quotaProject = quotaProject
    }

    package func token() async throws(AuthError) -> AccessToken { accessToken }
    package func invalidate(_ token: AccessToken) async {}
}
