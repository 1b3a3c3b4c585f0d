/// How many readers a source bears side by side: half as many once it says that it is overloaded, then one more after every few rounds of
/// good answers, up to what was asked for.
struct ReaderPace {
    /// Answers of every reader before another one joins.
    private static let roundsPerReader = 4

    private let most: Int
    private(set) var readers: Int
    private var goodAnswers = 0

    init(most: Int) {
        self.most = max(1, most)
        readers = self.most
    }

    /// The source is overloaded.
    ///
    /// - Parameter active: how many readers were at work.
    mutating func slowDown(from active: Int) {
        readers = max(1, min(readers, active) / 2)
        goodAnswers = 0
    }

    mutating func answerCame() {
        guard readers < most else { return }
        goodAnswers += 1
        guard goodAnswers >= readers * Self.roundsPerReader else { return }
        readers += 1
        goodAnswers = 0
    }
}
