/// A date part (date and time functions pages).
enum CivilUnit: String, Sendable {
    case microsecond = "MICROSECOND"
    case millisecond = "MILLISECOND"
    case second = "SECOND"
    case minute = "MINUTE"
    case hour = "HOUR"
    case day = "DAY"
    case week = "WEEK"
    case isoWeek = "ISOWEEK"
    case month = "MONTH"
    case quarter = "QUARTER"
    case year = "YEAR"
    case dayOfWeek = "DAYOFWEEK"
    case dayOfYear = "DAYOFYEAR"

    /// Nil for parts of varying length, and for those that only EXTRACT knows.
    var microseconds: Int64? {
        switch self {
        case .microsecond: 1
        case .millisecond: 1000
        case .second: 1_000_000
        case .minute: 60_000_000
        case .hour: 3_600_000_000
        case .day: CivilTime.microsecondsPerDay
        default: nil
        }
    }

    var isTime: Bool { microseconds.map { $0 < CivilTime.microsecondsPerDay } ?? false }

    /// The start of the part that `time` (microseconds since 1970) lies in.
    func truncate(_ time: Int64) -> Int64? {
        if let length = microseconds {
            let rest = time % length
            return time - (rest < 0 ? rest + length : rest)
        }
        let days = CivilTime.split(time).days
        let (year, month, _) = CivilTime.civil(fromDays: days)
        let start: Int?
        switch self {
        // 1970-01-01 was a Thursday; weeks begin on Sunday, ISO weeks on Monday.
        case .week: start = days - Self.modulo(days + 4, 7)
        case .isoWeek: start = days - Self.modulo(days + 3, 7)
        case .month: start = CivilTime.days(year: year, month: month, day: 1)
        case .quarter: start = CivilTime.days(year: year, month: (month - 1) / 3 * 3 + 1, day: 1)
        case .year: start = CivilTime.days(year: year, month: 1, day: 1)
        default: start = nil
        }
        return start.map { Int64($0) * CivilTime.microsecondsPerDay }
    }

    func shift(_ time: Int64, by count: Int64) -> Int64? {
        if let length = microseconds ?? (self == .week ? 7 * CivilTime.microsecondsPerDay : nil) {
            let (product, overflow) = length.multipliedReportingOverflow(by: count)
            let (sum, overflow2) = time.addingReportingOverflow(product)
            return overflow || overflow2 || !CivilTime.timestampRange.contains(sum) ? nil : sum
        }
        // More months than the calendar has cannot lead to a date.
        guard (-(1 << 20)...(1 << 20)).contains(count) else { return nil }
        let months: Int64
        switch self {
        case .month: months = count
        case .quarter: months = count * 3
        case .year: months = count * 12
        default: return nil
        }
        let (days, rest) = CivilTime.split(time)
        let (year, month, day) = CivilTime.civil(fromDays: days)
        let total = Int64(year * 12 + month - 1) + months
        let newYear = Int(total / 12)
        let newMonth = Int(total % 12) + 1
        guard (1...9999).contains(newYear), newMonth >= 1 else { return nil }
        // A day that the month does not have becomes its last one.
        let newDay = min(day, CivilTime.length(of: newMonth, year: newYear))
        return CivilTime.days(year: newYear, month: newMonth, day: newDay).map {
            Int64($0) * CivilTime.microsecondsPerDay + rest
        }
    }

    /// How many boundaries of the part lie between: TIMESTAMP_DIFF counts whole parts, the others count boundaries.
    func difference(_ first: Int64, _ second: Int64, countsWholeParts: Bool) -> Int64? {
        if let length = microseconds {
            if countsWholeParts { return (first - second) / length }
            guard let from = truncate(second), let to = truncate(first) else { return nil }
            return (to - from) / length
        }
        let one = CivilTime.civil(fromDays: CivilTime.split(first).days)
        let other = CivilTime.civil(fromDays: CivilTime.split(second).days)
        switch self {
        case .year: return Int64(one.year - other.year)
        case .month: return Int64((one.year - other.year) * 12 + one.month - other.month)
        case .quarter: return Int64((one.year - other.year) * 4 + (one.month - 1) / 3 - (other.month - 1) / 3)
        case .week, .isoWeek:
            guard let from = truncate(second), let to = truncate(first) else { return nil }
            return (to - from) / (7 * CivilTime.microsecondsPerDay)
        default: return nil
        }
    }

    func extract(_ time: Int64) -> Int64? {
        let (days, rest) = CivilTime.split(time)
        let (year, month, day) = CivilTime.civil(fromDays: days)
        switch self {
        case .microsecond: return rest % 1_000_000
        case .millisecond: return rest % 1_000_000 / 1000
        case .second: return rest / 1_000_000 % 60
        case .minute: return rest / 60_000_000 % 60
        case .hour: return rest / 3_600_000_000
        case .day: return Int64(day)
        case .month: return Int64(month)
        case .quarter: return Int64((month - 1) / 3 + 1)
        case .year: return Int64(year)
        case .dayOfWeek: return Int64(Self.modulo(days + 4, 7) + 1)
        case .dayOfYear: return CivilTime.days(year: year, month: 1, day: 1).map { Int64(days - $0 + 1) }
        case .week, .isoWeek: return nil
        }
    }

    private static func modulo(_ value: Int, _ by: Int) -> Int {
        let rest = value % by
        return rest < 0 ? rest + by : rest
    }
}
