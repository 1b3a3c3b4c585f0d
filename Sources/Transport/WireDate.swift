import FoundationEssentials
import Glibc

/// Moments as the object stores' signatures spell them, always in UTC.
enum WireDate {
    /// `20251125T145757Z` (AWS, ISO 8601's basic form).
    static func basic(_ date: Date) -> String {
        let time = parts(date)
        return "\(four(time.tm_year + 1900))\(two(time.tm_mon + 1))\(two(time.tm_mday))"
            + "T\(two(time.tm_hour))\(two(time.tm_min))\(two(time.tm_sec))Z"
    }

    /// `Tue, 25 Nov 2025 14:57:57 GMT` (RFC 9110's date, which Azure signs).
    static func http(_ date: Date) -> String {
        let days = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"]
        let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
        let time = parts(date)
        return "\(days[Int(time.tm_wday)]), \(two(time.tm_mday)) \(months[Int(time.tm_mon)]) "
            + "\(four(time.tm_year + 1900)) \(two(time.tm_hour)):\(two(time.tm_min)):\(two(time.tm_sec)) GMT"
    }

    private static func parts(_ date: Date) -> tm {
        var seconds = time_t(date.timeIntervalSince1970.rounded(.down))
        var parts = tm()
        gmtime_r(&seconds, &parts)
        return parts
    }

    private static func two(_ number: Int32) -> String { number < 10 ? "0\(number)" : "\(number)" }
    private static func four(_ number: Int32) -> String {
        let text = "\(number)"
        return String(repeating: "0", count: max(0, 4 - text.count)) + text
    }
}
