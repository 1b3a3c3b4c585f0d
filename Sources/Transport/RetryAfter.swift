import CCurl
import Glibc

extension HTTPHeaders {
    /// `Retry-After` as whole seconds or as an HTTP date (RFC 9110, 10.2.3), never negative, at most a day. A date is
    /// measured against the response's own `Date` where it has one, so that a wrong local clock does no harm.
    package var retryAfter: Duration? {
        guard let text = self["retry-after"] else { return nil }
        let day: Int64 = 86_400
        if let seconds = Int64(text) {
            return seconds < 0 ? nil : .seconds(min(seconds, day))
        }
        guard let then = Self.parseDate(text) else { return nil }
        return .seconds(min(max(then - (date ?? Int64(time(nil))), 0), day))
    }

    /// The server's clock, in seconds since 1970; nil without a `Date` that can be read.
    package var date: Int64? { self["date"].flatMap(Self.parseDate) }

    /// By the server's clock, in seconds since 1970.
    package var lastModified: Int64? { self["last-modified"].flatMap(Self.parseDate) }

    /// Seconds since 1970; all three date forms of HTTP.
    private static func parseDate(_ text: String) -> Int64? {
        let seconds = curl_getdate(text, nil)
        return seconds < 0 ? nil : Int64(seconds)
    }
}
