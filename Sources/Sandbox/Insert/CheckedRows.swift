internal import JSONBytes

/// Bytes in one of a request's buffers.
struct TextReference {
    enum Source: UInt8 {
        /// The request's body.
        case body
        /// Decoded or canonical text.
        case scratch
        /// JSON text of RECORD and REPEATED columns.
        case nested
    }

    var source: Source
    var start: Int
    var count: Int
}

/// A checked value. A column without one is NULL.
enum CheckedValue {
    case null
    case integer(Int64)
    case double(Double)
    case text(TextReference)
    case blob(TextReference)
}

struct CheckedCell {
    var column: Int
    var value: CheckedValue
}

struct FieldError: Equatable {
    var location: String
    var message: String
    /// `no such field`: dropped when the request ignores unknown values.
    var isUnknownField = false
}

struct CheckedRow {
    var cells: Range<Int>
    var insertID: TextReference?
    var errors: [FieldError]
}

/// The rows of one insertAll request after the checks, with the buffers that their values refer to.
///
/// One owner at a time.
final class CheckedRows {
    let body: ByteBuffer
    let scratch = ByteBuffer(capacity: 16 << 10)
    let nested = ByteBuffer(capacity: 4 << 10)
    var cells: [CheckedCell] = []
    var rows: [CheckedRow] = []

    init(body: ByteBuffer) { self.body = body }

    func bytes(_ reference: TextReference) -> UnsafeRawBufferPointer {
        let buffer =
            switch reference.source {
            case .body: body
            case .scratch: scratch
            case .nested: nested
            }
        return UnsafeRawBufferPointer(start: buffer.base + reference.start, count: reference.count)
    }

    func string(_ reference: TextReference) -> String { String(decoding: bytes(reference), as: UTF8.self) }
}
