internal import JSONBytes
internal import Spool
internal import Transport

/// What `extract --full` has spooled of an incremental stream, possibly ahead of its watermark: later runs look those rows up.
extension RunContext {
    /// The greatest watermark (as sort key) of those rows; nil if there are none.
    var spooledAhead: [UInt8]? {
        note("ahead")?.stringValue.flatMap { text in
            var bytes: [UInt8] = []
            var digits = text.utf8.makeIterator()
            while let high = digits.next(), let low = digits.next() {
                guard let high = Self.value(ofHex: high), let low = Self.value(ofHex: low) else { return nil }
                bytes.append(high << 4 | low)
            }
            return bytes
        }
    }

    /// Rows up to this watermark (as sort key) may have been spooled before; nil: none.
    var spooledUpTo: [UInt8]? {
        [watermark?.sortKey, spooledAhead].compactMap { $0 }.max { $0.lexicographicallyPrecedes($1) }
    }

    private static func value(ofHex digit: UInt8) -> UInt8? {
        switch digit {
        case 0x30...0x39: digit - 0x30
        case 0x61...0x66: digit - 0x57
        default: nil
        }
    }

    /// Notes that rows up to this value are about to be spooled outside of an incremental run. Before their page is stored: too high a note
    /// only costs look-ups, too low a one would spool rows twice.
    func keepAhead(_ sortKey: [UInt8]) async throws {
        // Long texts are cut; no UTF-8 text has a byte 255, so the cut one still sorts after all it stands for.
        let bound = sortKey.count > 64 ? sortKey.prefix(64) + [0xFF] : sortKey
        if let kept = spooledAhead, !kept.lexicographicallyPrecedes(bound) { return }
        try await keepNote("ahead", .string(Digest.hex(Array(bound))))
    }
}
