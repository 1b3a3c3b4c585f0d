import TestSupport

extension SeededRandom {
    /// True in this share of cases.
    mutating func chance(_ share: Double) -> Bool { Double.random(in: 0..<1, using: &self) < share }
}
