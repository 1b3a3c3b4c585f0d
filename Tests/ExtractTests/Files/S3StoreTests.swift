import Extract
import Foundation
import TestSupport
import Testing
import Transport

@Suite(.needsPython) struct S3StoreTests {
    private let keys = AWSCredentialProvider(
        AWSCredentials(accessKeyID: "test", secretAccessKey: "test"), place: "test")

    private func contract(keysPerPage: Int = 1000) async throws -> StoreContract {
        let url = try await PeerServer.shared("s3_server").url
        return StoreContract(writer: ObjectWriter(store: "s3", endpoint: url)) { [keys] bucket, folder in
            try S3Store(
                url: "s3://\(bucket)/\(folder)", endpoint: url, region: "us-east-1", credentials: keys,
                client: HTTPClient(), keysPerPage: keysPerPage)
        }
    }

    @Test func `objects of any name are listed and read, one page or many`() async throws {
        try await contract().checkNames()
        try await contract(keysPerPage: 3).checkNames()
    }

    @Test func `offsets and ranges are exact`() async throws { try await contract().checkRanges() }

    @Test func `a replaced or deleted object is told from the listed one`() async throws {
        try await contract().checkVersions()
    }

    @Test func `a bucket that does not exist is the configuration's fault`() async throws {
        try await contract().checkMissingBucket()
    }
}
