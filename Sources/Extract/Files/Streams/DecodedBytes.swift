/// An object's bytes as its format reads them: unpacked and in UTF-8.
final class DecodedBytes {
    private let body: ObjectBody
    private let decoder: (any ByteDecoder)?
    private var transcoder: TextTranscoder
    private var isAtEnd = false

    init(_ body: ObjectBody, compression: Compression?, encoding: TextEncoding) throws {
        self.body = body
        decoder = try compression?.decoder()
        transcoder = TextTranscoder(encoding)
    }

    /// The next bytes; nil at the end.
    ///
    /// - Throws: `BrokenObject`, and what the store throws.
    func next() async throws -> [UInt8]? {
        while !isAtEnd {
            if let piece = try await nextPiece() {
                let text = transcoder.transcode(piece)
                if !text.isEmpty { return text }
            } else {
                isAtEnd = true
                let rest = transcoder.finish()
                if !rest.isEmpty { return rest }
            }
        }
        return nil
    }

    private func nextPiece() async throws -> [UInt8]? {
        guard let decoder else { return try await body.next() }
        while true {
            if let piece = try decoder.next() { return piece }
            guard let chunk = try await body.next() else {
                try decoder.finish()
                return nil
            }
            decoder.feed(chunk)
        }
    }
}
