import FoundationEssentials

extension AccessToken: Expiring {}

/// A token provider that fetches, keeps and renews.
final class CachedTokens: TokenProvider {
    typealias Fetch = ExpiringCache<AccessToken>.Fetch

    let quotaProject: String?
    private let name: @Sendable () async -> String
    private let cache: ExpiringCache<AccessToken>

    init(
        principal: @escaping @Sendable () async -> String, quotaProject: String? = nil,
        now: @escaping @Sendable () -> Date, fetch: @escaping Fetch
    ) {
        name = principal
        self.quotaProject = quotaProject
        cache = ExpiringCache(now: now, fetch: fetch)
    }

    var principal: String {
        get async { await name() }
    }

    func token() async throws(AuthError) -> AccessToken { try await cache.value() }

    func invalidate(_ token: AccessToken) async { cache.invalidate(token) }
}
