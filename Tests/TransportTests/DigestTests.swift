import Foundation
import Testing
import Transport

@Suite struct DigestTests {
    /// FIPS 180-2, appendix B, and the empty input.
    @Test(arguments: [
        ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        (
            "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
        ),
    ])
    func `SHA-256 gives the published digests`(text: String, expected: String) {
        #expect(Digest.hex(Digest.sha256(Array(text.utf8))) == expected)
    }

    @Test func `a hasher starts afresh after each digest, however the input is cut`() {
        let hasher = SHA256Hasher()
        for _ in 0..<3 {
            hasher.update("a")
            hasher.update("")
            hasher.update("bc")
            #expect(Digest.hex(hasher.finish()) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
        }
    }

    /// RFC 4231, cases 1, 2 and 6 (a key longer than a block).
    @Test(arguments: [
        (
            [UInt8](repeating: 0x0B, count: 20), "Hi There",
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"
        ),
        (
            Array("Jefe".utf8), "what do ya want for nothing?",
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        ),
        (
            [UInt8](repeating: 0xAA, count: 131), "Test Using Larger Than Block-Size Key - Hash Key First",
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
        ),
    ])
    func `HMAC gives the published codes`(key: [UInt8], text: String, expected: String) {
        #expect(Digest.hex(Digest.hmacSHA256(key: key, data: Array(text.utf8))) == expected)
    }

    @Test func `HMAC takes an empty key and empty data`() {
        #expect(
            Digest.hex(Digest.hmacSHA256(key: [], data: []))
                == "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad")
    }

    @Test(arguments: 0..<50) func `base64url is Foundation's base64 with the other alphabet and no padding`(count: Int)
    {
        let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 89 &+ 251) }
        let expected = Data(bytes).base64EncodedString().replacing("+", with: "-").replacing("/", with: "_")
        #expect(Digest.base64URL(bytes) == expected.replacing("=", with: ""))
    }

    @Test func `hex keeps leading zeros`() {
        #expect(Digest.hex([0x00, 0x0F, 0xF0, 0xFF]) == "000ff0ff")
        #expect(Digest.hex([UInt8]()) == "")
    }

    @Test func `the insertId of the contract comes out`() {
        let parts = [
            "b2b-recs.raw_data.bq_memos", "memos", "memos/m1", "upsert", "2025-11-25T14:57:57.425Z",
        ]
        let digest = Digest.sha256(Array(parts.joined(separator: "\u{0}").utf8))
        #expect(Digest.base64URL(digest.prefix(16)) == "qTCT2YlXr5CBv4Wqvwm3EA")
    }
}
