import Spool
import Testing
import Transport

@testable import Ship

struct VerdictTests {
    private static let rows = (1...4).map { RowID(Int64($0)) }
    private static let now = Timestamp(microseconds: 1_764_082_677_000_000)

    private static func attempt(rows: Int = 4, bytes: Int = 2000, isSettling: Bool = false) -> Verdict.Attempt {
        Verdict.Attempt(
            table: TableReference(project: "p", dataset: "d", table: "t"), rows: Array(Self.rows.prefix(rows)),
            bytes: bytes, isSettling: isSettling)
    }

    private static func reply(_ status: Int, _ body: String = "", _ headers: [HTTPHeader] = []) -> InsertReply {
        .response(HTTPResponse(status: status, headers: HTTPHeaders(headers), body: Array(body.utf8)))
    }

    private static func error(_ reason: String, _ message: String = "m") -> String {
        #"{"error":{"errors":[{"domain":"global","reason":"\#(reason)","message":"\#(message)"}],"code":0,"message":"\#(message)"}}"#
    }

    private static let accepted = #"{"kind":"bigquery#tableDataInsertAllResponse"}"#

    private static func rowErrors(_ entries: String) -> String {
        #"{"kind":"bigquery#tableDataInsertAllResponse","insertErrors":[\#(entries)]}"#
    }

    struct Case: Sendable, CustomTestStringConvertible {
        var name: String
        var reply: InsertReply
        var rest: Settlement.Rest
        /// A word for the advice.
        var advice: String
        var rows = 4
        var bytes = 2000

        var testDescription: String { name }
    }

    static let whole: [Case] = [
        Case(name: "accepted", reply: reply(200, accepted), rest: .delivered, advice: "proceed"),
        Case(name: "accepted, empty errors", reply: reply(200, rowErrors("")), rest: .delivered, advice: "proceed"),
        Case(name: "accepted, nothing said", reply: reply(200, "{}"), rest: .delivered, advice: "proceed"),
        Case(name: "200 HTML", reply: reply(200, "<html>hello</html>"), rest: .inDoubt(.unknown), advice: "retry"),
        Case(name: "200 empty", reply: reply(200), rest: .inDoubt(.unknown), advice: "retry"),
        Case(
            name: "200 cut off", reply: reply(200, String(accepted.dropLast())), rest: .inDoubt(.unknown),
            advice: "retry"),
        Case(
            name: "200 with an error inside", reply: reply(200, error("backendError")), rest: .inDoubt(.unknown),
            advice: "retry"),
        Case(
            name: "200 of another kind", reply: reply(200, #"{"kind":"x"}"#), rest: .inDoubt(.unknown), advice: "retry"),
        Case(name: "202", reply: reply(202, accepted), rest: .inDoubt(.unknown), advice: "retry"),
        Case(name: "302", reply: reply(302), rest: .pending, advice: "stop configuration"),
        Case(name: "400", reply: reply(400, error("badRequest")), rest: .pending, advice: "stop badRequest"),
        Case(
            name: "400 size",
            reply: reply(400, error("badRequest", "Request payload size exceeds the limit: 10485760 bytes.")),
            rest: .pending, advice: "split"),
        Case(name: "400 unavailable", reply: reply(400, error("tableUnavailable")), rest: .pending, advice: "retry"),
        Case(name: "401", reply: reply(401, error("authError")), rest: .pending, advice: "stop denied"),
        Case(name: "403 denied", reply: reply(403, error("accessDenied")), rest: .pending, advice: "stop denied"),
        Case(name: "403 billing", reply: reply(403, error("billingNotEnabled")), rest: .pending, advice: "stop denied"),
        Case(name: "403 HTML", reply: reply(403, "<html>"), rest: .pending, advice: "stop denied"),
        Case(name: "403 rate", reply: reply(403, error("rateLimitExceeded")), rest: .pending, advice: "slowDown"),
        Case(name: "403 quota", reply: reply(403, error("quotaExceeded")), rest: .pending, advice: "slowDown"),
        Case(name: "404", reply: reply(404, error("notFound")), rest: .pending, advice: "lookAtTable"),
        Case(name: "408", reply: reply(408), rest: .inDoubt(.unknown), advice: "retry"),
        Case(name: "413 JSON", reply: reply(413, error("uploadTooLarge")), rest: .pending, advice: "split"),
        Case(name: "413 HTML", reply: reply(413, "<html>"), rest: .pending, advice: "split"),
        Case(name: "413 of one row", reply: reply(413), rest: .delivered, advice: "proceed", rows: 1),
        Case(name: "429", reply: reply(429), rest: .pending, advice: "slowDown"),
        Case(name: "500", reply: reply(500, error("internalError")), rest: .inDoubt(.unknown), advice: "retry"),
        Case(name: "501", reply: reply(501), rest: .inDoubt(.unknown), advice: "retry"),
        Case(name: "502", reply: reply(502, "<html>"), rest: .inDoubt(.unknown), advice: "retry"),
        Case(name: "503", reply: reply(503, error("backendError")), rest: .inDoubt(.unknown), advice: "retry"),
        Case(name: "504", reply: reply(504), rest: .inDoubt(.unknown), advice: "retry"),
        Case(name: "no name", reply: failure(.resolve, 0), rest: .pending, advice: "retry"),
        Case(name: "no connection", reply: failure(.connect, 0), rest: .pending, advice: "retry"),
        Case(name: "no TLS", reply: failure(.tls, 0), rest: .pending, advice: "stop unavailable"),
        Case(name: "a proxy's no", reply: failure(.proxy, 0), rest: .pending, advice: "stop unavailable"),
        Case(name: "reset before the body", reply: failure(.connectionLost, 0), rest: .pending, advice: "retry"),
        Case(
            name: "reset after the body", reply: failure(.connectionLost, 2000), rest: .inDoubt(.unknown),
            advice: "retry"),
        Case(
            name: "reset in a small body", reply: failure(.connectionLost, 10), rest: .inDoubt(.unknown),
            advice: "retry"),
        Case(
            name: "reset in a large body", reply: failure(.connectionLost, 65536), rest: .inDoubt(.unknown),
            advice: "split", bytes: 4 << 20),
        Case(name: "silence", reply: failure(.timeout(.silence), 2000), rest: .inDoubt(.unknown), advice: "retry"),
        Case(
            name: "too much answer", reply: failure(.responseTooLarge, 2000), rest: .inDoubt(.unknown), advice: "retry"),
        Case(name: "unknown failure", reply: failure(.other(code: 56), 1), rest: .inDoubt(.unknown), advice: "retry"),
        Case(name: "cancelled", reply: failure(.cancelled, 1), rest: .inDoubt(.unknown), advice: "cancelled"),
        Case(name: "cancelled before", reply: failure(.cancelled, 0), rest: .pending, advice: "cancelled"),
        Case(name: "no token now", reply: .noToken(.unavailable(reason: "x")), rest: .pending, advice: "retry"),
        Case(
            name: "no token", reply: .noToken(.refused(principal: "a", reason: "x")), rest: .pending,
            advice: "stop denied"),
        Case(
            name: "no key file", reply: .noToken(.unreadableFile(path: "k", reason: "x")), rest: .pending,
            advice: "stop configuration"),
    ]

    private static func failure(_ kind: HTTPError.Kind, _ sent: Int64) -> InsertReply {
        .failure(HTTPError(kind: kind, host: "h:1", bodyBytesSent: sent, message: "it failed"))
    }

    private static func word(_ advice: Verdict.Advice) -> String {
        switch advice {
        case .proceed: "proceed"
        case .retry: "retry"
        case .slowDown: "slowDown"
        case .split: "split"
        case .lookAtTable: "lookAtTable"
        case .stop(let stop): "stop \(stop.kind)"
        case .cancelled: "cancelled"
        }
    }

    @Test(arguments: whole)
    func `an outcome of the whole request`(_ example: Case) {
        let verdict = Verdict(
            of: example.reply, for: Self.attempt(rows: example.rows, bytes: example.bytes), at: Self.now)
        #expect(verdict.rest == example.rest)
        #expect(Self.word(verdict.advice) == example.advice)
        if example.name == "413 of one row" {
            guard case .rejected("too_large", let message) = verdict.exceptions.first?.outcome else {
                Issue.record("the row must be rejected")
                return
            }
            #expect(message.contains("2000 bytes"))
        } else {
            #expect(verdict.exceptions.isEmpty)
        }
    }

    @Test func `three cut connections in a row mean that the request is too large`() {
        var attempt = Self.attempt()
        let reply = Self.failure(.connectionLost, 2000)
        attempt.failures = 1
        #expect(Verdict(of: reply, for: attempt, at: Self.now).advice == .retry(after: nil))
        attempt.failures = 2
        #expect(Verdict(of: reply, for: attempt, at: Self.now).advice == .retry(after: nil))
        attempt.bytes = Verdict.neverTooLarge + 1
        #expect(Verdict(of: reply, for: attempt, at: Self.now).advice == .split)
        attempt.rows = [Self.rows[0]]
        #expect(Verdict(of: reply, for: attempt, at: Self.now).advice == .retry(after: nil))
    }

    @Test func `a row that was refused is rejected and the others are delivered`() {
        let body = Self.rowErrors(
            #"{"index":2,"errors":[{"reason":"invalid","location":"age","debugInfo":"","message":"Cannot convert value"}]}"#
        )
        let verdict = Verdict(of: Self.reply(200, body), for: Self.attempt(), at: Self.now)
        #expect(verdict.rest == .delivered)
        #expect(
            verdict.exceptions == [
                RowSettlement(
                    Self.rows[2], .rejected(reason: "invalid", message: "age: Cannot convert value"))
            ])
        #expect(verdict.isProgress)
    }

    @Test func `a refusal that does not say what to do is completed`() throws {
        let text =
            "The destination table's partition t$20010101 is outside the allowed bounds. You can only stream to partitions within 3650 "
            + "days in the past and 366 days in the future relative to the current date."
        let body = Self.rowErrors(#"{"index":0,"errors":[{"reason":"invalid","message":"\#(text)"}]}"#)
        let verdict = Verdict(of: Self.reply(200, body), for: Self.attempt(rows: 1), at: Self.now)
        guard case .rejected("invalid", let message) = try #require(verdict.exceptions.first).outcome else {
            Issue.record("not rejected")
            return
        }
        #expect(message.hasPrefix(text) && message.contains("partitioned by another column"))
    }

    @Test func `rows accepted by a settling table are in doubt`() {
        let verdict = Verdict(of: Self.reply(200, Self.accepted), for: Self.attempt(isSettling: true), at: Self.now)
        #expect(verdict.rest == .inDoubt(.settling))
    }

    @Test func `a row that was only stopped is pending and that was no attempt`() {
        let body = Self.rowErrors(
            #"""
            {"index":0,"errors":[{"reason":"invalid","message":"bad"}]},{"index":1,"errors":[{"reason":"stopped"}]}
            """#)
        let verdict = Verdict(of: Self.reply(200, body), for: Self.attempt(), at: Self.now)
        #expect(
            verdict.exceptions[1].outcome
                == .pending(reason: "stopped", message: "", counts: false, transient: false))
    }

    @Test(arguments: ["timeout", "backendError", "internalError", "neverHeardOf"])
    func `a passing refusal of a row makes it pending, and rejected only after twenty and an hour`(_ reason: String) {
        let body = Self.rowErrors(#"{"index":0,"errors":[{"reason":"\#(reason)","message":"later"}]}"#)
        func outcome(count: Int, age: Duration) -> RowSettlement.Outcome? {
            var attempt = Self.attempt()
            attempt.transientAttempts[0] = (count, Self.now.advanced(by: .zero - age))
            return Verdict(of: Self.reply(200, body), for: attempt, at: Self.now).exceptions.first?.outcome
        }
        let pending = RowSettlement.Outcome.pending(reason: reason, message: "later", counts: true, transient: true)
        #expect(outcome(count: 0, age: .zero) == pending)
        #expect(outcome(count: 18, age: .seconds(7200)) == pending)
        #expect(outcome(count: 19, age: .seconds(3599)) == pending)
        guard case .rejected(reason, _) = outcome(count: 19, age: .seconds(3600)) else {
            Issue.record("the row must be given up")
            return
        }
    }

    @Test func `a rate limit never costs a row, however often`() {
        let body = Self.rowErrors(#"{"index":0,"errors":[{"reason":"rateLimitExceeded"}]}"#)
        var attempt = Self.attempt()
        attempt.transientAttempts[0] = (500, Self.now.advanced(by: .seconds(-86400)))
        let verdict = Verdict(of: Self.reply(200, body), for: attempt, at: Self.now)
        #expect(
            verdict.exceptions.first?.outcome
                == .pending(reason: "rateLimitExceeded", message: "", counts: true, transient: false))
        #expect(verdict.advice == .slowDown(after: nil))
    }

    @Test func `an unknown column asks for a look and rejects nothing`() {
        let body = Self.rowErrors(
            #"{"index":0,"errors":[{"reason":"invalid","location":"age","message":"no such field: age."}]}"#)
        let verdict = Verdict(of: Self.reply(200, body), for: Self.attempt(), at: Self.now)
        #expect(verdict.advice == .lookAtTable)
        guard case .pending = verdict.exceptions.first?.outcome else {
            Issue.record("the row must stay pending")
            return
        }
    }

    @Test func `rows that all met the same passing refusal stay one request`() {
        let errors = (0..<4).map { #"{"index":\#($0),"errors":[{"reason":"stopped"}]}"# }.joined(separator: ",")
        let verdict = Verdict(of: Self.reply(200, Self.rowErrors(errors)), for: Self.attempt(), at: Self.now)
        #expect(verdict.rest == .pending)
        #expect(verdict.exceptions.isEmpty)
        #expect(!verdict.counts)
        #expect(!verdict.isProgress)
        #expect(verdict.advice == .retry(after: nil))
    }

    static let hostile = [
        #"{"index":4,"errors":[]}"#, #"{"index":-1,"errors":[]}"#, #"{"index":"0","errors":[]}"#,
        #"{"index":0.5,"errors":[]}"#,
        #"{"index":1e0,"errors":[]}"#, #"{"errors":[]}"#, #"{"index":0,"errors":[]},{"index":0,"errors":[]}"#,
        #"{"index":99999999999999999999,"errors":[]}"#, #"{"index":0,"errors":["x"]}"#, #"{"index":0,"errors":{}}"#,
        "1", "null",
        "[]", "{}", #"{"index":null}"#, #"{"index":0,"index":1,"errors":[]}"#,
    ]

    @Test(arguments: hostile)
    func `an answer with nonsense in it leaves every row in doubt`(_ entry: String) {
        let verdict = Verdict(of: Self.reply(200, Self.rowErrors(entry)), for: Self.attempt(), at: Self.now)
        #expect(verdict.rest == .inDoubt(.unknown))
        #expect(verdict.exceptions.isEmpty)
        #expect(!verdict.isProgress)
    }

    @Test func `what the server asks to wait is heard`() {
        let verdict = Verdict(
            of: Self.reply(429, "", [HTTPHeader("Retry-After", "17")]), for: Self.attempt(), at: Self.now)
        #expect(verdict.advice == .slowDown(after: .seconds(17)))
    }

    @Test func `the free tier's refusal says what to do`() {
        let body = Self.error("accessDenied", "Streaming insert is not allowed in the free tier")
        let verdict = Verdict(of: Self.reply(403, body), for: Self.attempt(), at: Self.now)
        guard case .stop(let stop) = verdict.advice else {
            Issue.record("the table must be stopped")
            return
        }
        #expect(stop.hint?.contains("billing") == true)
    }
}
