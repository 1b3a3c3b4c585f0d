import JSONBytes
import Spool
import Testing

@testable import Extract

/// Answers as they arrive: in any form, cut anywhere, broken off.
@Suite struct FirestoreAnswerTests {
    static let fields = [
        #"{"n":{"integerValue":"-9223372036854775808"},"d":{"doubleValue":1.5E-7},"t":{"timestampValue":"2024-01-02T03:04:05.120Z"}}"#,
        #"{"s":{"stringValue":"é \u00e9 \ud83d\ude00 \"q\""},"m":{"mapValue":{"fields":{"b":{"booleanValue":true},"a":{"nullValue":null}}}}}"#,
        #"{"g":{"geoPointValue":{"latitude":1.5}},"a":{"arrayValue":{"values":[{"bytesValue":"AP/+"},{"arrayValue":{}}]}}}"#,
    ]

    static let expected = [
        #"{"d":1.5e-07,"n":"-9223372036854775808","t":"2024-01-02T03:04:05.12Z"}"#,
        #"{"m":"{\"a\":null,\"b\":true}","s":"é é 😀 \"q\""}"#,
        #"{"a":"[\"AP/+\",[]]","g":"POINT(0.0 1.5)"}"#,
    ]

    @Test func `an answer cut at any byte gives the same rows`() throws {
        let answer = Normalized.answer(Self.fields)
        let whole = try Normalized().payloads(Array(answer.utf8))
        #expect(whole.map(Normalized.fields(of:)) == Self.expected)
        for cut in 1..<answer.utf8.count {
            let rows = try Normalized().payloads(Array(answer.utf8), cutAt: [cut])
            #expect(rows == whole, "cut at \(cut)")
        }
    }

    @Test func `an answer that comes byte by byte gives the same rows`() throws {
        let answer = Normalized.answer(Self.fields)
        #expect(try Normalized().fields(answer, cutAt: Array(1..<answer.utf8.count)) == Self.expected)
    }

    @Test func `white space anywhere changes nothing`() throws {
        // Blanks around every structural character outside of strings.
        var text = ""
        var isInString = false
        var isEscaped = false
        for character in Normalized.answer(Self.fields).unicodeScalars {
            if isInString {
                if !isEscaped, character == "\"" { isInString = false }
                isEscaped = character == "\\" && !isEscaped
                text.unicodeScalars.append(character)
                continue
            }
            if character == "\"" { isInString = true }
            if "{}[],:".unicodeScalars.contains(character) {
                text += "\n\t " + String(character) + " \r\n"
            } else {
                text.unicodeScalars.append(character)
            }
        }
        #expect(try Normalized().fields(text) == Self.expected)
    }

    @Test(arguments: [
        #"[{"readTime":"2025-11-25T15:00:00Z","done":true}]"#,
        #"[{"transaction":"EVE"},{"readTime":"2025-11-25T15:00:00Z"}]"#,
        #" [ { "skippedResults" : 3 , "explainMetrics":{"a":[1,{}]}, "readTime":"2025-11-25T15:00:00Z" } ] "#,
    ])
    func `progress reports are no documents`(_ answer: String) throws {
        #expect(try Normalized().fields(answer) == [])
    }

    @Test func `an answer cut off anywhere is transient, whatever it had brought`() throws {
        let answer = Array(Normalized.answer(Self.fields).utf8)
        for length in 0..<answer.count {
            let error = try #require(throws: ExtractError.self) { try Normalized().payloads(Array(answer[..<length])) }
            #expect(error.kind == .unavailable, "cut off after \(length)")
            #expect(error.isTransient)
        }
    }

    @Test func `the good documents of a broken answer are handed out before the error`() throws {
        let answer = Normalized.answer(Self.fields).dropLast(30)
        let page = PageBuilder.forTests
        let reader = FirestoreAnswerReader(page: page, normalizer: nil, subject: "memos")
        reader.append(Array(answer.utf8))
        var names: [String] = []
        while case .document(let document)? = try reader.next() {
            names.append(String(decoding: page.values.bytes(document.name), as: UTF8.self))
        }
        #expect(names == [0, 1].map { Normalized.root + "memos/m\($0)" })
        let error = try #require(throws: ExtractError.self) { try reader.finish() }
        #expect(error.description.contains("cut off after document \(Normalized.root)memos/m1"))
    }

    static let permission = #"{"error":{"code":403,"message":"Missing permissions.","status":"PERMISSION_DENIED"}}"#

    @Test(arguments: [permission, "[\(permission)]", "\n[ \(permission) ]\n"])
    func `an error is found bare, wrapped in an array and with a body of 200`(_ answer: String) throws {
        let error = try #require(throws: ExtractError.self) { try Normalized().fields(answer) }
        #expect(error.kind == .denied)
        let refusal = FirestoreFailure.refusal(
            status: 403, body: Array(answer.utf8), retryAfter: nil, reading: "Firestore memos")
        #expect(refusal.kind == .denied)
        #expect(refusal.description.contains("Missing permissions."))
    }

    @Test func `an error after good documents is the answer's end`() throws {
        let good = Normalized.answer(Self.fields).dropLast()
        let unavailable = #"{"error":{"code":503,"message":"Try later.","status":"UNAVAILABLE"}}"#
        let error = try #require(throws: ExtractError.self) { try Normalized().fields(good + "," + unavailable + "]") }
        #expect(error.isTransient)
    }

    @Test(arguments: ["", "[]", " [ ] "])
    func `an answer without even a readTime is no answer`(_ answer: String) throws {
        let error = try #require(throws: ExtractError.self) { try Normalized().fields(answer) }
        #expect(error.isTransient)
    }

    @Test(arguments: [
        "{}", "[{}] x", "[{},]", "<html>", "[1]", #"[{"document":{}}]"#, #"[{"document":{"fields":{}}}]"#,
    ])
    func `what is no answer of Firestore is refused`(_ answer: String) throws {
        let error = try #require(throws: ExtractError.self) { try Normalized().fields(answer) }
        #expect(error.kind == .malformed)
    }

    @Test(arguments: [
        (429, "RESOURCE_EXHAUSTED", ExtractError.Kind.unavailable), (500, "INTERNAL", .unavailable),
        (503, "UNAVAILABLE", .unavailable), (504, "DEADLINE_EXCEEDED", .unavailable), (409, "ABORTED", .unavailable),
        (401, "UNAUTHENTICATED", .denied), (403, "PERMISSION_DENIED", .denied), (404, "NOT_FOUND", .configuration),
        (400, "INVALID_ARGUMENT", .configuration), (400, "FAILED_PRECONDITION", .configuration),
        (501, "UNIMPLEMENTED", .configuration), (502, "", .unavailable), (408, "", .unavailable),
    ])
    func `a status says whether trying again helps`(_ code: Int, _ status: String, _ kind: ExtractError.Kind) {
        let body = #"{"error":{"code":\#(code),"message":"why","status":"\#(status)"}}"#
        let failure = FirestoreFailure.refusal(
            status: code, body: Array(body.utf8), retryAfter: .seconds(3), reading: "x")
        #expect(failure.kind == kind)
        #expect(failure.retryAfter == .seconds(3))
        #expect(failure.hint != nil || kind == .configuration)
        let html = FirestoreFailure.refusal(status: code, body: Array("<html>".utf8), retryAfter: nil, reading: "x")
        #expect(html.kind == kind || code == 501)
    }

    @Test func `a missing index is shown with the console's link`() {
        let message = "The query requires an index. You can create it here: https://console.firebase.google.com/x"
        let body = #"[{"error":{"code":400,"message":"\#(message)","status":"FAILED_PRECONDITION"}}]"#
        let failure = FirestoreFailure.refusal(status: 400, body: Array(body.utf8), retryAfter: nil, reading: "memos")
        #expect(failure.description.contains("https://console.firebase.google.com/x"))
        #expect(failure.hint?.contains("index") == true)
    }
}

extension PageBuilder {
    /// A page that nobody assembles.
    static var forTests: PageBuilder {
        let frame = RowFrame(runID: "run", renames: [:])
        return PageBuilder(
            fields: FieldTable(
                known: [], selection: FieldSelection(columns: nil, exclude: []), renames: [:],
                metadataNames: frame.allNames), frame: frame,
            insertIDs: InsertIDMaker(table: "t", stream: "s", generation: 0, runID: nil),
            lastExtractedAt: .init(microseconds: 0), clock: { .now() })
    }
}
