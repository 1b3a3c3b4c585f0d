import TestSupport
import Testing

@testable import Spool

@Suite struct TimestampTests {
    private static let texts: [(Int64, String)] = [
        (0, "1970-01-01T00:00:00Z"), (1, "1970-01-01T00:00:00.000001Z"), (-1, "1969-12-31T23:59:59.999999Z"),
        (-1_000_000, "1969-12-31T23:59:59Z"), (-86_400_000_000, "1969-12-31T00:00:00Z"),
        (1_764_082_677_425_123, "2025-11-25T14:57:57.425123Z"), (1_764_082_677_425_000, "2025-11-25T14:57:57.425Z"),
        (1_764_082_677_400_000, "2025-11-25T14:57:57.4Z"), (1_764_082_677_000_010, "2025-11-25T14:57:57.00001Z"),
        (951_782_400_000_000, "2000-02-29T00:00:00Z"), (1_709_164_800_000_000, "2024-02-29T00:00:00Z"),
        (-2_203_891_200_000_000, "1900-03-01T00:00:00Z"), (-2_203_977_600_000_000, "1900-02-28T00:00:00Z"),
        (4_107_542_400_000_000, "2100-03-01T00:00:00Z"), (-62_135_596_800_000_000, "0001-01-01T00:00:00Z"),
        (-62_135_596_799_999_999, "0001-01-01T00:00:00.000001Z"),
        (253_402_300_799_999_999, "9999-12-31T23:59:59.999999Z"), (-11_644_473_600_000_000, "1601-01-01T00:00:00Z"),
    ]

    @Test(arguments: texts)
    func `a moment and its text are the same both ways`(microseconds: Int64, text: String) {
        #expect(Timestamp(microseconds: microseconds).description == text)
        #expect(Timestamp(rfc3339: text)?.microseconds == microseconds)
    }

    @Test func `a text is canonical if it is the moment's own`() throws {
        let other = ["2025-11-25T14:57:57.0Z", "2025-11-25T14:57:57.120Z", "2025-11-25T14:57:57.1234560Z"]
        for text in Self.texts.map(\.1) + Self.accepted.map(\.0) + other {
            let bytes = Array(text.utf8)
            let moment = try #require(bytes.withUnsafeBytes { Timestamp(rfc3339: $0, maximumFractionDigits: 9) })
            #expect(bytes.withUnsafeBytes { Timestamp.isCanonical($0) } == (moment.description == text), "\(text)")
        }
    }

    private static let accepted: [(String, String)] = [
        ("2025-11-25t14:57:57z", "2025-11-25T14:57:57Z"), ("2025-11-25T14:57:57+00:00", "2025-11-25T14:57:57Z"),
        ("2025-11-25T14:57:57-00:00", "2025-11-25T14:57:57Z"), ("2025-11-25T14:57:57+01:30", "2025-11-25T13:27:57Z"),
        ("2025-11-25T14:57:57.5-14:00", "2025-11-26T04:57:57.5Z"),
        ("2025-11-25T14:57:57.500000+23:59", "2025-11-24T14:58:57.5Z"),
        ("2024-02-29T23:59:59.999999Z", "2024-02-29T23:59:59.999999Z"),
        ("2025-01-01T00:30:00+01:00", "2024-12-31T23:30:00Z"), ("0001-01-01T14:00:00+14:00", "0001-01-01T00:00:00Z"),
    ]

    @Test(arguments: accepted)
    func `other spellings of RFC 3339 are understood`(text: String, expected: String) {
        #expect(Timestamp(rfc3339: text)?.description == expected)
    }

    @Test(arguments: [
        "", "2025-11-25", "2025-11-25T14:57:57", "2025-11-25 14:57:57Z", "2025-11-25T14:57Z", "2025-11-25T14:57:57.Z",
        "2025-11-25T14:57:57.1234567Z", "2025-11-25T14:57:60Z", "2025-11-25T24:00:00Z", "2025-11-25T14:60:00Z",
        "2025-02-29T00:00:00Z", "1900-02-29T00:00:00Z", "2025-13-01T00:00:00Z", "2025-00-01T00:00:00Z",
        "2025-01-00T00:00:00Z", "2025-04-31T00:00:00Z", "0000-01-01T00:00:00Z", "10000-01-01T00:00:00Z",
        "-001-01-01T00:00:00Z", "2025-11-25T14:57:57+1:00", "2025-11-25T14:57:57+01", "2025-11-25T14:57:57+01:60",
        "2025-11-25T14:57:57+24:00", "2025-11-25T14:57:57+0100", "2025-11-25T14:57:57Z ", " 2025-11-25T14:57:57Z",
        "2025-11-25T14:57:57ZZ", "2025-11-25T14:57:57,5Z", "2025-11-25T14:57:5xZ", "20x5-11-25T14:57:57Z",
        "2025-11-25T14:57:57\u{661}Z", "0001-01-01T00:00:00+00:01", "9999-12-31T23:59:59-00:01",
    ])
    func `a text that is no moment is none`(text: String) {
        #expect(Timestamp(rfc3339: text) == nil)
    }

    @Test func `a text without a zone counts as UTC where that is allowed`() {
        #expect(
            Timestamp(rfc3339: "2025-11-25T14:57:57.5", zoneIsOptional: true)?.description == "2025-11-25T14:57:57.5Z")
        #expect(
            Timestamp(rfc3339: "2025-11-25T14:57:57+02:00", zoneIsOptional: true)?.description == "2025-11-25T12:57:57Z"
        )
        #expect(Timestamp(rfc3339: "2025-11-25", zoneIsOptional: true) == nil)
    }

    @Test func `digits beyond microseconds are cut only where they are allowed`() {
        let text = Array("2025-11-25T14:57:57.123456789Z".utf8)
        text.withUnsafeBytes { bytes in
            #expect(Timestamp(rfc3339: bytes) == nil)
            #expect(Timestamp(rfc3339: bytes, maximumFractionDigits: 9)?.description == "2025-11-25T14:57:57.123456Z")
        }
    }

    @Test func `every day from year 1 to 9999 is the day after the one before`() {
        var (year, month, day): (Int64, Int64, Int64) = (1, 1, 1)
        var number = Timestamp.days(year: 1, month: 1, day: 1)
        while year < 10_000 {
            let date = Timestamp.civil(fromDays: number)
            guard date == (year, month, day), Timestamp.days(year: year, month: month, day: day) == number else {
                Issue.record("day \(number) is \(date), not \(year)-\(month)-\(day)")
                return
            }
            number += 1
            day += 1
            if !Timestamp.exists(year: year, month: month, day: day) { (month, day) = (month + 1, 1) }
            if month == 13 { (year, month) = (year + 1, 1) }
        }
        #expect(number == Timestamp.days(year: 10_000, month: 1, day: 1))
    }

    @Test func `arithmetic beyond what can be written stops at the ends`() {
        let start = Timestamp(microseconds: 5)
        #expect(start.advanced(by: .seconds(2)).microseconds == 2_000_005)
        #expect(start.advanced(by: .microseconds(-7)).microseconds == -2)
        #expect(start.advanced(by: .seconds(Int64.max)).microseconds == .max)
        #expect(start.advanced(by: .seconds(Int64.min)).microseconds == .min)
        #expect(start.advanced(by: .seconds(Int64.max / 1_000_000) + .microseconds(999_999)).microseconds == .max)
        #expect(start.since(Timestamp(microseconds: 3)) == .microseconds(2))
        #expect(Timestamp(microseconds: .max).since(Timestamp(microseconds: .min)) == .microseconds(Int64.max))
        #expect(Timestamp(microseconds: .min).since(Timestamp(microseconds: .max)) == .microseconds(Int64.min))
    }

    @Test(arguments: [Int64.min, Int64.max, -62_135_596_800_000_001, 253_402_300_800_000_000])
    func `a moment outside of the calendar still has a text that fits`(microseconds: Int64) {
        let text = Timestamp(microseconds: microseconds).description
        #expect(text.utf8.count <= Timestamp.maximumTextLength)
        #expect(text.utf8.allSatisfy { $0 < 0x80 })
    }

    @Test func `the clock goes forward`() {
        let before = Timestamp.now()
        #expect(before > Timestamp(microseconds: 1_700_000_000_000_000))
        #expect(Timestamp.now() >= before)
    }
}
