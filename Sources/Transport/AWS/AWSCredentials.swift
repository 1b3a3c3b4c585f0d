package import FoundationEssentials

/// An access key, for a while where it came with a session token. Its description and reflection never show the secret.
package struct AWSCredentials: Sendable, Equatable, CustomStringConvertible, CustomDebugStringConvertible,
    CustomReflectable
{
    package let accessKeyID: String
    package let secretAccessKey: String
    package let sessionToken: String?
    package let expiresAt: Date

    package init(
        accessKeyID: String, secretAccessKey: String, sessionToken: String? = nil, expiresAt: Date = .distantFuture
    ) {
        self.accessKeyID = accessKeyID
        self.secretAccessKey = secretAccessKey
        self.sessionToken = sessionToken
        self.expiresAt = expiresAt
    }

    package var description: String { "<redacted>" }
    package var debugDescription: String { "<redacted>" }
    package var customMirror: Mirror { Mirror(self, children: []) }

    /// Keys go into a header: what can't stand there is no key.
    var isUsable: Bool {
        !secretAccessKey.isEmpty
            && [accessKeyID, sessionToken ?? "-"].allSatisfy { text in
                !text.isEmpty && text.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: ",") }
            }
    }
}

extension AWSCredentials: Expiring {}

/// Where access keys come from; fetched again shortly before they expire.
package final class AWSCredentialProvider: Sendable {
    /// Where they were found, for messages.
    package let place: String
    /// The region that goes with them (a profile's), if they name one.
    package let region: String?
    private let cache: ExpiringCache<AWSCredentials>

    init(
        place: String, region: String? = nil, now: @escaping @Sendable () -> Date,
        fetch: @escaping ExpiringCache<AWSCredentials>.Fetch
    ) {
        self.place = place
        self.region = region
        cache = ExpiringCache(now: now, fetch: fetch)
    }

    /// Keys that are good for minutes to come. Asks the network only when there are none at hand.
    package func credentials() async throws(AuthError) -> AWSCredentials { try await cache.value() }

    /// The keys were refused: they are not given out again, unless they are the only ones.
    package func invalidate(_ credentials: AWSCredentials) { cache.invalidate(credentials) }

    /// The same keys for ever.
    package convenience init(_ credentials: AWSCredentials, place: String, region: String? = nil) {
        self.init(place: place, region: region, now: { Date() }) { () async throws(AuthError) in credentials }
    }
}
