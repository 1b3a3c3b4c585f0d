/// Undoes a compression of a stream, piece by piece.
protocol ByteDecoder: AnyObject {
    /// Takes the next compressed bytes; only when `next` has nothing more to give.
    func feed(_ chunk: [UInt8])
    /// The next decoded bytes, at most `ByteDecoders.pieceSize`; nil when more must be fed.
    func next() throws -> [UInt8]?
    /// No more bytes will come.
    ///
    /// - Throws: `BrokenObject` if the stream was cut off.
    func finish() throws
}

/// How an object is compressed as a whole, by the end of its name.
enum Compression: String, Sendable {
    case gzip = ".gz"
    case zstd = ".zst"

    /// - Returns: the compression, and the name without its ending.
    static func of(_ name: String) -> (Compression?, Substring) {
        let lowercased = name.lowercased()
        for compression in [Compression.gzip, .zstd] where lowercased.hasSuffix(compression.rawValue) {
            return (compression, name.dropLast(compression.rawValue.count))
        }
        return (nil, name[...])
    }

    func decoder() throws -> any ByteDecoder {
        switch self {
        case .gzip: try GzipDecoder()
        case .zstd: try ZstdDecoder()
        }
    }
}

enum ByteDecoders {
    static let pieceSize = 256 << 10
}

/// Bounds what a few bytes may become: a file made to fill a disk is refused, not unpacked.
struct RatioLimit {
    /// Text that repeats itself a lot reaches a few hundred; deflate can't do more than 1032.
    static let ofText = RatioLimit(maximumRatio: 1000, free: 64 << 20)
    /// Parquet keeps a value that repeats itself once; rows have it each time.
    static let ofRows = RatioLimit(maximumRatio: 10_000, free: 1 << 30)

    private let maximumRatio: Int64
    /// Below so many bytes no ratio harms.
    private let free: Int64
    private var bytesIn: Int64 = 0
    private(set) var bytesOut: Int64 = 0

    private init(maximumRatio: Int64, free: Int64) {
        self.maximumRatio = maximumRatio
        self.free = free
    }

    mutating func count(in read: Int, out written: Int) throws {
        bytesIn += Int64(read)
        bytesOut += Int64(written)
        guard bytesOut > free, bytesOut / maximumRatio > bytesIn else { return }
        throw BrokenObject(
            reason: "it unpacks to more than \(maximumRatio) times its size (\(bytesOut) of \(bytesIn) bytes so far)")
    }
}
