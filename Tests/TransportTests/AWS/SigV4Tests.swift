import Foundation
import TestSupport
import Testing

@testable import Transport

@Suite struct SigV4Tests {
    struct Case: Sendable, Encodable {
        var method = "GET"
        var url: String
        var headers: [[String]] = []
        var body = ""
        var service = "s3"
        var region = "eu-central-1"
        var token: String?
        var id = "AKIDEXAMPLE"
        var secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
        var time = "20251125T145757Z"
    }

    static let cases: [Case] = {
        let urls = [
            "https://bucket.s3.eu-central-1.amazonaws.com/",
            "https://bucket.s3.eu-central-1.amazonaws.com/?list-type=2&prefix=a%2Fb&max-keys=1000&encoding-type=url",
            "https://bucket.s3.eu-central-1.amazonaws.com/?list-type=2&continuation-token=x%2B%2F%3D&max-keys=2&delimiter=",
            "https://s3.eu-central-1.amazonaws.com/my.bucket/a%20b/%2B%28c%29/%C3%A4%C3%B6.csv",
            "https://s3.eu-central-1.amazonaws.com/bucket/a/../b/./c//d",
            "http://127.0.0.1:9000/bucket/key?versionId=a.b-c_d~e",
            "https://example.com:443/bucket/key",
        ]
        var cases = urls.map { Case(url: $0) }
        cases += urls.map {
            Case(
                url: $0,
                headers: [["Range", "bytes=10-"], ["If-Match", "\"abc\""], ["Accept-Encoding", "identity"]],
                token: "IQoJb3JpZ2luX2VjE//////////wEaDGV1LXdlc3QtMSJIMEYC=")
        }
        cases.append(
            Case(
                method: "POST", url: "https://sts.us-east-1.amazonaws.com/",
                headers: [["Content-Type", "application/x-www-form-urlencoded; charset=utf-8"]],
                body: "Action=AssumeRole&Version=2011-06-15&RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fr", service: "sts",
                region: "us-east-1"))
        cases.append(
            Case(method: "PUT", url: "https://s3.amazonaws.com/b/k", body: "hello \u{e4}", region: "us-east-1"))
        return cases
    }()

    @Test(.needsPython) func `signatures are those of botocore`() async throws {
        let output = try await PythonPeer.run("aws_signatures", input: JSONEncoder().encode(Self.cases))
        let expected = try JSONDecoder().decode([String].self, from: output)
        try #require(expected.count == Self.cases.count)
        for (example, expected) in zip(Self.cases, expected) {
            var request = HTTPRequest(
                try #require(HTTPRequest.Method(rawValue: example.method)), example.url,
                headers: example.headers.map { HTTPHeader($0[0], $0[1]) },
                body: example.body.isEmpty ? nil : HTTPBody(Array(example.body.utf8)))
            let keys = AWSCredentials(
                accessKeyID: example.id, secretAccessKey: example.secret, sessionToken: example.token)
            let date = try Date("2025-11-25T14:57:57Z", strategy: .iso8601)
            SigV4(region: example.region, service: example.service).sign(&request, by: keys, at: date)
            let actual = request.headers.first { $0.name == "Authorization" }?.value
            #expect(actual == expected, "\(example.url)")
        }
    }

    @Test func `signing again replaces what the first signature added`() throws {
        var request = HTTPRequest(.get, "https://bucket.s3.amazonaws.com/key")
        let signer = SigV4(region: "us-east-1", service: "s3")
        let date = try Date("2025-11-25T14:57:57Z", strategy: .iso8601)
        signer.sign(&request, by: AWSCredentials(accessKeyID: "a", secretAccessKey: "s"), at: date)
        let once = request
        signer.sign(&request, by: AWSCredentials(accessKeyID: "a", secretAccessKey: "s"), at: date)
        #expect(Set(request.headers.map(\.name)) == Set(once.headers.map(\.name)))
        #expect(request.headers.count == once.headers.count)
        #expect(
            request.headers.first { $0.name == "Authorization" } == once.headers.first { $0.name == "Authorization" })
    }

    @Test func `keys are not shown`() {
        let keys = AWSCredentials(accessKeyID: "AKID", secretAccessKey: "hush", sessionToken: "token")
        #expect("\(keys)" == "<redacted>")
        #expect(String(reflecting: keys) == "<redacted>")
    }
}
