internal import JSONBytes

/// What happens to the rows of one shape on their way into the table's body.
enum ShapeEncoding: Sendable, Equatable {
    /// Every column and type fits: the payload's bytes are sent.
    case verbatim
    /// Member by member, in the order of the shape.
    case members([MemberEncoding])
    /// No row of this shape can be taken.
    case impossible(message: String)
}

struct MemberEncoding: Sendable, Equatable {
    enum Action: Sendable, Equatable {
        case copy
        case omit
        /// The column takes null, or nothing where there is no column, and the value goes to `_rescued`.
        case rescue(writesNull: Bool)
        case convert(SpooledType, ColumnSchema)
        /// The payload's own `_rescued`: merged with what is added here.
        case ownRescued
    }

    /// As it stands in the payload.
    var name: [UInt8]
    /// The column's name with quotes and colon, as the table spells it.
    var target: [UInt8]
    var action: Action
}

/// Writes one row's payload into a request's body, adapted to the table where it must be. Reuses its buffers: nothing is allocated per row.
final class RowEncoder {
    enum Outcome: Equatable {
        case written(rescued: Int)
        /// Nothing was written.
        case refused(reason: String, message: String)
    }

    private let rescuedTarget: [UInt8]
    private let rescued = RescuedValues()
    private let scratch = ByteBuffer()
    private let converted = ByteBuffer()
    /// Which members of the last row were rescued, by their place in the shape.
    private(set) var rescuedMembers: [Int] = []

    /// - Parameter rescuedColumn: the name that `_rescued` has in the table.
    init(rescuedColumn: String) {
        rescuedTarget = Self.target(rescuedColumn)
    }

    static func target(_ column: String) -> [UInt8] {
        let buffer = ByteBuffer(capacity: 64)
        buffer.appendJSONString(column)
        buffer.append(UInt8(ascii: ":"))
        return buffer.array
    }

    func encode(_ payload: UnsafeRawBufferPointer, _ encoding: ShapeEncoding, into body: ByteBuffer) -> Outcome {
        switch encoding {
        case .verbatim:
            body.append(payload)
            return .written(rescued: 0)
        case .impossible(let message):
            return .refused(reason: "invalid", message: message)
        case .members(let members):
            let start = body.count
            let outcome: Outcome
            do {
                outcome = try encode(payload, members, body)
            } catch {
                outcome = .refused(reason: "damaged", message: "the spooled row can't be read: \(error)")
            }
            if case .refused = outcome { body.truncate(to: start) }
            return outcome
        }
    }

    private func encode(
        _ payload: UnsafeRawBufferPointer, _ members: [MemberEncoding], _ body: ByteBuffer
    ) throws(JSONSyntaxError) -> Outcome {
        guard let start = payload.baseAddress else { throw JSONSyntaxError(.endOfInput, at: 0) }
        var reader = JSONReader(start.assumingMemoryBound(to: UInt8.self), count: payload.count)
        rescued.removeAll()
        rescuedMembers.removeAll(keepingCapacity: true)
        var isFirst = true
        body.append(UInt8(ascii: "{"))
        func begin(_ target: [UInt8]) {
            if !isFirst { body.append(UInt8(ascii: ",")) }
            isFirst = false
            body.append(target)
        }
        var hasMember = try reader.enterObject()
        for (place, member) in members.enumerated() {
            guard hasMember else { throw JSONSyntaxError(.unexpectedByte, at: reader.at) }
            let key = try reader.readKey()
            // The shape lists the row's columns in order; anything else is not the row that was spooled.
            guard reader.raw(key).elementsEqual(member.name) else {
                throw JSONSyntaxError(.unexpectedByte, at: key.start)
            }
            let value = try readValue(&reader)
            switch member.action {
            case .copy:
                begin(member.target)
                body.append(value.raw)
            case .omit:
                break
            case .rescue(let writesNull):
                if writesNull {
                    begin(member.target)
                    body.append("null")
                }
                if case .null = value.value { break }
                rescued.add(reader.raw(key), value.raw)
                rescuedMembers.append(place)
            case .convert(let type, let column):
                converted.removeAll()
                if ColumnConversion.convert(value.value, of: type, into: column, converted) {
                    begin(member.target)
                    body.append(converted)
                } else if column.mode == .required {
                    return .refused(
                        reason: "invalid",
                        message: "column \(column.name) is REQUIRED and the row's value does not fit its type "
                            + column.type.rawValue)
                } else {
                    if column.mode == .nullable {
                        begin(member.target)
                        body.append("null")
                    }
                    if case .null = value.value { break }
                    rescued.add(reader.raw(key), value.raw)
                    rescuedMembers.append(place)
                }
            case .ownRescued:
                guard case .text(let json) = value.value else { break }
                guard rescued.addMembers(of: json) else { throw JSONSyntaxError(.unexpectedByte, at: reader.at) }
            }
            hasMember = try reader.hasNextMember()
        }
        guard !hasMember else { throw JSONSyntaxError(.unexpectedByte, at: reader.at) }
        try reader.finish()
        if !rescued.isEmpty {
            begin(rescuedTarget)
            rescued.write(to: body)
        }
        body.append(UInt8(ascii: "}"))
        return .written(rescued: rescuedMembers.count)
    }

    /// One value; a text with escapes is decoded into `scratch` and valid until the next one.
    private func readValue(
        _ reader: inout JSONReader
    ) throws(JSONSyntaxError) -> (value: SpooledValue, raw: UnsafeRawBufferPointer) {
        let first = try reader.peek()
        let start = reader.at
        let value: SpooledValue
        switch first {
        case UInt8(ascii: "\""):
            let token = try reader.readString()
            if token.isPlain {
                value = .text(reader.raw(token))
            } else {
                scratch.removeAll()
                scratch.appendDecoded(reader.raw(token))
                value = .text(scratch.bytes)
            }
        case UInt8(ascii: "t"):
            try reader.readLiteral("true")
            value = .bool(true)
        case UInt8(ascii: "f"):
            try reader.readLiteral("false")
            value = .bool(false)
        case UInt8(ascii: "n"):
            try reader.readLiteral("null")
            value = .null
        default:
            value = .number(reader.raw(try reader.readNumber()))
        }
        return (value, UnsafeRawBufferPointer(start: reader.base + start, count: reader.at - start))
    }
}
