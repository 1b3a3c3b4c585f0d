import Foundation
import JSONBytes
import Logging
import Testing

@testable import etlctl

@Suite struct ConsoleTests {
    private func console(
        _ test: TestContext, environment: [String: String] = [:],
        _ change: (inout GlobalOptions.Output) -> Void = { _ in }
    ) -> Console {
        var options = GlobalOptions.Output()
        change(&options)
        return Console(context: test.context(environment: environment), options: options)
    }

    private let outcome = CommandOutcome(
        json: ["streams": []], text: "done", failure: .data("A row was rejected.", hint: "See `etlctl audit rows`."))

    @Test func `for people the result and the failure go separate ways`() throws {
        let test = TestContext()
        try console(test).finish(outcome)
        #expect(test.output == "done\n")
        #expect(test.diagnostics == "etlctl: error: A row was rejected.\n  See `etlctl audit rows`.\n")
    }

    @Test func `with json standard output holds one object, the error beside what there is`() throws {
        let test = TestContext()
        try console(test) { $0.isJSON = true }.finish(outcome)
        #expect(
            test.output
                == #"{"streams":[],"error":{"code":"data","message":"A row was rejected.","hint":"See `etlctl audit rows`."}}"#
                + "\n")
    }

    @Test func `quiet keeps results, warnings and failures`() throws {
        let test = TestContext()
        let console = console(test) { $0.isQuiet = true }
        console.log.info("hello")
        console.log.warning("careful")
        try console.finish(outcome)
        #expect(test.output == "done\n")
        #expect(test.diagnostics.split(separator: "\n").count == 3)
        #expect(!test.diagnostics.contains("hello"))
        #expect(test.diagnostics.contains("etlctl: warning: careful"))
    }

    @Test func `verbose shows the details`() {
        let test = TestContext()
        console(test).log.debug("detail")
        #expect(test.diagnostics.isEmpty)
        console(test) { $0.isVerbose = true }.log.debug("detail", metadata: ["b": "2", "a": "1"])
        #expect(test.diagnostics == "etlctl: debug: detail (a=1, b=2)\n")
    }

    @Test func `json logs have Cloud Logging's names`() throws {
        let test = TestContext()
        let console = console(test) { $0.logFormat = .json }
        console.log.warning(
            "two\nlines", metadata: ["stream": "memos", "rows": .stringConvertible(5), "message": "not mine"])
        #expect(
            test.diagnostics
                == #"{"severity":"WARNING","message":"two\nlines","time":"2025-11-25T14:57:57.500Z","rows":5,"#
                + #""stream":"memos"}"# + "\n")
    }

    @Test func `a failure in json logs has its code and exit code`() {
        let test = TestContext()
        console(test) { $0.logFormat = .json }.report(.busy("The spool is locked."))
        #expect(test.diagnostics.contains(#""severity":"ERROR","message":"The spool is locked.""#))
        #expect(test.diagnostics.contains(#""code":"busy","exit_code":75"#))
    }

    @Test func `secrets are taken out of logs and failures`() throws {
        let test = TestContext()
        let console = console(test, environment: ["PGPASSWORD": "geheim1"]) { $0.isJSON = true }
        console.diagnostics.conceal([SecretString("geheim2"), SecretString("x")])
        console.log.error("connecting with geheim1 and geheim2")
        try console.finish(CommandOutcome(failure: .denied("geheim2 was refused, x", hint: "not geheim1")))
        #expect(!test.diagnostics.contains("geheim"))
        #expect(!test.output.contains("geheim"))
        #expect(test.diagnostics.contains("connecting with <redacted> and <redacted>"))
        #expect(test.output.contains("<redacted> was refused, x"))
    }

    @Test func `a message can't write control sequences to the terminal`() {
        let test = TestContext()
        console(test).log.info("id \u{1b}[2J", metadata: ["k": "\u{7}"])
        #expect(test.diagnostics == "etlctl: id \\u{1b}[2J (k=\\u{7})\n")
    }

    @Test func `a log line does not land in the status line`() {
        let test = TestContext()
        let diagnostics = Diagnostics(test.context(isTerminal: true, width: 11).diagnostics)
        diagnostics.setStatus("reading a lot of rows")
        diagnostics.line("note")
        diagnostics.setStatus("")
        #expect(test.diagnostics == "reading a \r\u{1b}[Knote\nreading a \r\u{1b}[K")
    }

    @Test func `a reader that has gone away is no failure, a full disk is`() throws {
        var descriptors: [Int32] = [0, 0]
        try #require(pipe(&descriptors) == 0)
        signal(SIGPIPE, SIG_IGN)
        close(descriptors[0])
        defer { close(descriptors[1]) }
        let stream = TextStream.fileDescriptor(descriptors[1])
        try stream.write("a\n")
        try stream.write("b\n")
        #expect(!stream.isTerminal)

        let full = open("/dev/full", O_WRONLY)
        try #require(full >= 0)
        defer { close(full) }
        let failure = try #require(throws: Failure.self) { try TextStream.fileDescriptor(full).write("a\n") }
        #expect(failure.exitCode == 1)
        #expect(failure.message.contains("No space left on device"))
    }

    @Test func `codes and exit codes go together`() {
        let table: [(Failure, String, Int32)] = [
            (.usage(""), "usage", 64), (.data(""), "data", 65), (.sourceUnavailable(""), "unavailable", 69),
            (.destinationUnavailable(""), "unavailable", 75), (.spool(""), "spool", 74), (.busy(""), "busy", 75),
            (.denied(""), "denied", 77), (.config(""), "config", 78), (.interrupted(signal: 2, ""), "interrupted", 130),
            (.interrupted(signal: 15, ""), "interrupted", 143), (.unexpected(""), "internal", 1),
        ]
        for (failure, code, status) in table {
            #expect(failure.code.rawValue == code)
            #expect(failure.exitCode == status)
        }
        #expect(Set(table.map(\.0.code)) == Set(FailureCode.allCases))
        #expect(Set(table.map(\.0.status) + [.done]) == Set(ExitStatus.allCases))
    }

    @Test func `an error without words of its own names nothing internal`() {
        enum Oddity: Error { case happened }
        let failure = Failure(describing: Oddity.happened)
        #expect(failure.exitCode == 1)
        #expect(!failure.message.contains("Oddity"))
        #expect(Failure(describing: Failure.busy("x")) == .busy("x"))
        #expect(Failure(describing: CancellationError()).exitCode == 130)
    }
}
