import JSONBytes
import TestSupport
import Testing

@testable import Extract

struct DecimalTextTests {
    /// What is appended for a text, nil where it says nothing.
    private func short(_ text: String, digits: Int) -> String? {
        let target = ByteBuffer()
        let isAppended = Array(text.utf8).withUnsafeBytes { DecimalText.appendShort($0, digits: digits, to: target) }
        return isAppended ? target.string : nil
    }

    @Test func `a short decimal is taken for what Swift prints only where Swift prints it so`() throws {
        var random = SeededRandom(seed: 7)
        var taken = 0
        for _ in 0..<200_000 {
            var text = Bool.random(using: &random) ? "-" : ""
            for _ in 0..<Int.random(in: 0...9, using: &random) { text += "\(Int.random(in: 0...9, using: &random))" }
            if Int.random(in: 0..<4, using: &random) > 0 { text += "." }
            // Zeros are where it goes wrong.
            for _ in 0..<Int.random(in: 0...9, using: &random) {
                text += "\(max(0, Int.random(in: -9...9, using: &random)))"
            }
            if let double = short(text, digits: 15) {
                taken += 1
                #expect(try #require(Double(text)).description == double, "\(text)")
            }
            if let float = short(text, digits: 6) {
                #expect(try #require(Float(text)).description == float, "\(text)")
            }
        }
        #expect(taken > 50_000)
    }

    @Test(arguments: [
        "", "-", ".5", "5.", "1e5", "NaN", "Infinity", "07", "1.50", "0.00001", "1.2.3", "1234567890123456",
    ])
    func `what is printed otherwise is left alone`(_ text: String) {
        #expect(short(text, digits: 15) == nil)
    }

    @Test(arguments: [
        ("0", "0.0"), ("-0", "-0.0"), ("0.0", "0.0"), ("0.0001", "0.0001"), ("12", "12.0"), ("-3.25", "-3.25"),
        ("999999999999999", "999999999999999.0"),
    ])
    func `short decimals`(_ text: String, printed: String) {
        #expect(short(text, digits: 15) == printed)
    }
}
