import Foundation
import Testing

@testable import etlctl

@Suite struct ProgressReporterTests {
    private func reporter(
        _ test: TestContext, isTerminal: Bool = false, width: Int = 80,
        _ change: (inout GlobalOptions.Output) -> Void = { _ in }
    ) -> ProgressReporter {
        var options = GlobalOptions.Output()
        change(&options)
        return ProgressReporter(
            Console(context: test.context(isTerminal: isTerminal, width: width), options: options), verb: "read")
    }

    @Test func `without a terminal a line comes every ten seconds`() {
        let test = TestContext()
        let progress = reporter(test)
        for second in 1...25 {
            test.advance(.seconds(1))
            progress.update("memos", rows: Int64(second) * 1_000, total: 100_000)
        }
        let lines = test.diagnostics.split(separator: "\n")
        #expect(
            lines == [
                "etlctl: memos: 10,000 of 100,000 rows read, 1,000/s, 1 min 30 s left",
                "etlctl: memos: 20,000 of 100,000 rows read, 1,000/s, 1 min 20 s left",
            ])
    }

    @Test func `stalled work is still reported, at its rate`() {
        let test = TestContext()
        let progress = reporter(test)
        progress.update("memos", rows: 500)
        for _ in 1...40 {
            test.advance(.seconds(1))
            progress.tick()
        }
        #expect(test.diagnostics.split(separator: "\n").count == 4)
        #expect(test.diagnostics.hasSuffix("etlctl: memos: 500 rows read, 0/s\n"))
    }

    @Test func `several streams are one line`() {
        let test = TestContext()
        let progress = reporter(test) { $0.logFormat = .json }
        progress.update("a", rows: 0)
        progress.update("b", rows: 0, total: 10)
        test.advance(.seconds(10))
        progress.update("a", rows: 100)
        #expect(test.diagnostics.contains(#""message":"2 streams: 100 rows read, 10/s""#))
        #expect(test.diagnostics.contains(#""rows":100,"rows_per_second":10"#))
    }

    @Test func `on a terminal one line is redrawn and goes away`() {
        let test = TestContext()
        let progress = reporter(test, isTerminal: true)
        test.advance(.seconds(1))
        progress.update("memos", rows: 0, total: 1_000)
        test.advance(.seconds(1))
        progress.update("memos", rows: 500, total: 1_000)
        // Too soon to be seen.
        progress.update("memos", rows: 501, total: 1_000)
        progress.close()
        let frames = test.diagnostics.components(separatedBy: "\r\u{1b}[K")
        #expect(frames.count == 3)
        #expect(frames[1].hasPrefix("memos [###"))
        #expect(frames[1].hasSuffix("50%, 500 of 1,000 rows read, 500/s, 1.0 s left"))
        #expect(frames[2].isEmpty)
        #expect(!test.diagnostics.contains("\n"))
        #expect(frames.allSatisfy { $0.count < 80 })
    }

    @Test func `a narrow terminal gets the numbers without the bar`() {
        let test = TestContext()
        let progress = reporter(test, isTerminal: true, width: 30)
        test.advance(.seconds(1))
        progress.update("memos", rows: 500, total: 1_000)
        #expect(test.diagnostics == "memos: 50%, 500 of 1,000 rows")
    }

    @Test func `quiet is silent`() {
        let test = TestContext()
        let progress = reporter(test) { $0.isQuiet = true }
        test.advance(.seconds(60))
        progress.update("memos", rows: 1)
        #expect(test.diagnostics.isEmpty)
    }

    @Test func `the line goes away when the work throws, and the clock stops`() async throws {
        let test = TestContext()
        let console = Console(context: test.context(isTerminal: true), options: GlobalOptions.Output())
        await #expect(throws: Failure.self) {
            try await console.withProgress("read") { progress in
                test.advance(.seconds(1))
                progress.update("memos", rows: 1)
                throw Failure.busy("x")
            }
        }
        #expect(test.diagnostics.hasSuffix("\r\u{1b}[K"))
    }
}
