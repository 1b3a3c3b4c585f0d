#if canImport(Glibc)
    import Glibc
#endif

/// A moment in UTC with the resolution of BigQuery's TIMESTAMP and of Firestore: microseconds since 1970.
package struct Timestamp: Sendable, Hashable, Comparable, CustomStringConvertible {
    package var microseconds: Int64

    package init(microseconds: Int64) { self.microseconds = microseconds }

    /// The system's clock.
    package static func now() -> Timestamp {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Timestamp(microseconds: Int64(time.tv_sec) * 1_000_000 + Int64(time.tv_nsec) / 1000)
    }

    package static func < (left: Timestamp, right: Timestamp) -> Bool { left.microseconds < right.microseconds }

    /// A moment before or after this one; at the ends of what can be counted it stops.
    package func advanced(by duration: Duration) -> Timestamp {
        let (seconds, attoseconds) = duration.components
        let whole = seconds.multipliedReportingOverflow(by: 1_000_000)
        let delta = whole.partialValue.addingReportingOverflow(attoseconds / 1_000_000_000_000)
        let sum = microseconds.addingReportingOverflow(delta.partialValue)
        guard whole.overflow || delta.overflow || sum.overflow else { return Timestamp(microseconds: sum.partialValue) }
        return Timestamp(microseconds: seconds < 0 ? .min : .max)
    }

    /// From `earlier` to this moment.
    package func since(_ earlier: Timestamp) -> Duration {
        let difference = microseconds.subtractingReportingOverflow(earlier.microseconds)
        return .microseconds(difference.overflow ? (microseconds < 0 ? .min : .max) : difference.partialValue)
    }

    /// The day in UTC, counted from 1970-01-01.
    package var day: Int {
        let length: Int64 = 86_400_000_000
        return Int(microseconds / length - (microseconds % length < 0 ? 1 : 0))
    }

    /// 0001-01-01T00:00:00Z, the least that BigQuery and Firestore know.
    package static let minimum = Timestamp(microseconds: -62_135_596_800_000_000)
    /// 9999-12-31T23:59:59.999999Z, the greatest.
    package static let maximum = Timestamp(microseconds: 253_402_300_799_999_999)

    /// The most bytes `write(into:)` writes.
    package static let maximumTextLength = 27

    /// RFC 3339 in UTC with `Z`, no trailing zeros in the fraction: `2025-11-25T14:57:57.425Z`.
    package var description: String {
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: Self.maximumTextLength) { buffer in
            guard let start = buffer.baseAddress else { return "" }
            let length = write(into: start)
            return String(decoding: UnsafeBufferPointer(start: start, count: length), as: UTF8.self)
        }
    }

    /// Writes the text of `description` and returns its length; years are cut to four digits.
    package func write(into target: UnsafeMutablePointer<UInt8>) -> Int {
        var seconds = microseconds / 1_000_000
        var fraction = microseconds % 1_000_000
        if fraction < 0 {
            fraction += 1_000_000
            seconds -= 1
        }
        var days = seconds / 86400
        var second = seconds % 86400
        if second < 0 {
            second += 86400
            days -= 1
        }
        let date = Self.civil(fromDays: days)
        func put(_ value: Int64, at offset: Int) {
            let value = Int32(truncatingIfNeeded: value)
            target[offset] = UInt8(truncatingIfNeeded: value / 10) &+ 0x30
            target[offset + 1] = UInt8(truncatingIfNeeded: value % 10) &+ 0x30
        }
        // Only years outside of 1 to 9999 can be negative or longer than their digits.
        let year = abs(date.year) % 10_000
        put(year / 100, at: 0)
        put(year % 100, at: 2)
        target[4] = UInt8(ascii: "-")
        put(date.month, at: 5)
        target[7] = UInt8(ascii: "-")
        put(date.day, at: 8)
        target[10] = UInt8(ascii: "T")
        put(second / 3600, at: 11)
        target[13] = UInt8(ascii: ":")
        put(second / 60 % 60, at: 14)
        target[16] = UInt8(ascii: ":")
        put(second % 60, at: 17)
        var length = 19
        if fraction != 0 {
            target[19] = UInt8(ascii: ".")
            put(fraction / 10_000, at: 20)
            put(fraction / 100 % 100, at: 22)
            put(fraction % 100, at: 24)
            length = 26
            while target[length - 1] == UInt8(ascii: "0") { length -= 1 }
        }
        target[length] = UInt8(ascii: "Z")
        return length + 1
    }

    /// The proleptic Gregorian date of a day number (Howard Hinnant, "chrono-compatible low-level date algorithms").
    package static func civil(fromDays days: Int64) -> (year: Int64, month: Int64, day: Int64) {
        let shifted = days + 719_468
        let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shiftedMonth = (5 * dayOfYear + 2) / 153
        let month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
        let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
        return (year, month, dayOfYear - (153 * shiftedMonth + 2) / 5 + 1)
    }

    /// The inverse of `civil(fromDays:)`; the date must exist.
    package static func days(year: Int64, month: Int64, day: Int64) -> Int64 {
        let shiftedYear = month <= 2 ? year - 1 : year
        let era = (shiftedYear >= 0 ? shiftedYear : shiftedYear - 399) / 400
        let yearOfEra = shiftedYear - era * 400
        let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
        let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
        return era * 146_097 + dayOfEra - 719_468
    }
}
