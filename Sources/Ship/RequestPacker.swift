internal import JSONBytes
internal import Spool
internal import Transport

/// A request that is ready to be put on record and sent.
struct PackedRequest: Sendable {
    /// In the order of the body.
    var rows: [RowID] = []
    /// Rows that can't be sent: damaged, too large, or of no use to the table. They are settled with the request.
    var exclusions: [RowSettlement] = []
    /// First and last row, excluded ones too.
    var first = RowID(0)
    var last = RowID(0)
    /// Earlier transient refusals, by index, where there were any.
    var transientAttempts: [Int: (count: Int, first: Timestamp?)] = [:]
    var body: HTTPBody?
    var isCompressed = false
    /// Bytes of the body before compression.
    var bytes = 0
    /// Values that went to `_rescued` when the rows were adapted to the table.
    var rescued = 0

    var count: Int { rows.count + exclusions.count }
    var isEmpty: Bool { count == 0 }
}

/// Fills request bodies with rows, by rows and real bytes. The same rows give the same bytes for as long as the table's schema is the same:
/// nothing in a body depends on the attempt.
// @unchecked Sendable: a table's loop owns it and lends it to one read of the spool at a time.
final class RequestPacker: @unchecked Sendable {
    /// Google's hard limit of a request is 10 MiB of body (quotas page); a row that alone goes beyond it can never be sent.
    static let hardLimit = 10 << 20

    struct Limits: Sendable {
        var rows: Int
        var bytes: Int
    }

    enum Step {
        case added
        /// The row has to begin another body.
        case full
        /// The row's shape came up after the plan was made.
        case unknownShape(Int64)
    }

    private let encoder: RowEncoder
    private let encodings: [Int64: ShapeEncoding]
    private let gzip: Gzip?
    /// The last shape seen whose rows are sent as they were spooled.
    private var verbatimShape: Int64 = -1
    private let pool: BodyPool
    private var body: ByteBuffer
    private var request = PackedRequest()
    var limits: Limits
    /// A resend has its rows, however many and large they are.
    var isUnlimited = false
    /// For forecasts: count rescued values by column.
    var countsRescued = false
    private(set) var rescuedByColumn: [String: Int] = [:]

    private static let head: StaticString =
        #"{"kind":"bigquery#tableDataInsertAllRequest","skipInvalidRows":true,"ignoreUnknownValues":false,"rows":["#

    init(plan: TablePlan, limits: Limits, compresses: Bool, pool: BodyPool = BodyPool()) {
        self.pool = pool
        body = pool.take()
        encoder = RowEncoder(rescuedColumn: plan.name(of: .rescued))
        encodings = plan.encodings
        gzip = compresses ? Gzip() : nil
        self.limits = limits
    }

    /// Bytes of the body being filled.
    var pendingBytes: Int { body.count }
    var isEmpty: Bool { request.isEmpty }

    func add(_ row: RowBytes) -> Step {
        // Rows of one shape mostly follow each other, and mostly fit the table as they are.
        let isVerbatim = row.shape == verbatimShape
        // Of a damaged row the shape may be what is damaged.
        if !isVerbatim, row.isIntact, encodings[row.shape] == nil { return .unknownShape(row.shape) }
        if !isUnlimited, request.count >= limits.rows { return .full }
        if request.isEmpty { request.first = row.id }
        guard row.isIntact else {
            exclude(
                row.id, "damaged", "the row was damaged in the spool: it does not match its checksum; extract it again")
            return .added
        }
        let body = body
        let start = body.count
        if start == 0 { body.append(Self.head) } else if !request.rows.isEmpty { body.append(UInt8(ascii: ",")) }
        body.append("{\"insertId\":")
        body.appendJSONString(row.insertID)
        body.append(",\"json\":")
        if isVerbatim {
            body.append(row.payload)
        } else if let refusal = encode(row, body) {
            body.truncate(to: start)
            exclude(row.id, refusal.reason, refusal.message)
            return .added
        }
        body.append(UInt8(ascii: "}"))
        let size = body.count + 2
        if size > limits.bytes, !isUnlimited, !request.rows.isEmpty {
            body.truncate(to: start)
            return .full
        }
        if size > Self.hardLimit, request.rows.isEmpty {
            body.truncate(to: start)
            exclude(
                row.id, "too_large",
                "the row alone makes a request of \(size) bytes; BigQuery takes at most \(Self.hardLimit)")
            return .added
        }
        if row.transientAttempts > 0 {
            request.transientAttempts[request.rows.count] = (row.transientAttempts, row.firstTransientAt)
        }
        if !isVerbatim { countRescued(row) }
        request.rows.append(row.id)
        request.last = row.id
        return .added
    }

    /// Returns why the row can't be sent, if it can't.
    private func encode(_ row: RowBytes, _ body: ByteBuffer) -> (reason: String, message: String)? {
        guard let encoding = encodings[row.shape] else { return nil }
        if encoding == .verbatim { verbatimShape = row.shape }
        switch encoder.encode(row.payload, encoding, into: body) {
        case .refused(let reason, let message):
            return (reason, message)
        case .written:
            return nil
        }
    }

    /// After the row just encoded has found its place.
    private func countRescued(_ row: RowBytes) {
        guard case .members(let members) = encodings[row.shape] else { return }
        request.rescued += encoder.rescuedMembers.count
        guard countsRescued else { return }
        for place in encoder.rescuedMembers {
            rescuedByColumn[String(decoding: members[place].name, as: UTF8.self), default: 0] += 1
        }
    }

    private func exclude(_ row: RowID, _ reason: String, _ message: String) {
        request.exclusions.append(RowSettlement(row, .rejected(reason: reason, message: message)))
        request.last = row
    }

    /// Closes the body and begins a new one.
    func seal() -> PackedRequest {
        var sealed = request
        if !sealed.rows.isEmpty {
            body.append("]}")
            sealed.bytes = body.count
            if let compressed = gzip?.compress(body.bytes) {
                sealed.body = compressed
                sealed.isCompressed = true
            } else {
                sealed.body = pool.lend(body)
                body = pool.take()
            }
        }
        clear()
        return sealed
    }

    func clear() {
        body.removeAll()
        request = PackedRequest()
        request.rows.reserveCapacity(min(limits.rows, 1024))
    }
}
