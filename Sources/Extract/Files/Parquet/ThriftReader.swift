/// A cursor over Thrift's compact protocol (thrift-compact-protocol.md), which Parquet's metadata is written in. Every length is checked
/// against the bytes that are there.
struct ThriftReader {
    /// Deeper than any struct of Parquet's.
    private static let maximumDepth = 32

    private let bytes: [UInt8]
    private(set) var at: Int

    init(_ bytes: [UInt8], at: Int = 0) {
        self.bytes = bytes
        self.at = at
    }

    /// A field's number and type.
    struct Field {
        var id: Int
        var type: UInt8
    }

    /// The compact protocol's type numbers.
    enum WireType {
        static let yes: UInt8 = 1
        static let no: UInt8 = 2
        static let list: UInt8 = 9
        static let set: UInt8 = 10
        static let map: UInt8 = 11
        static let structure: UInt8 = 12
    }

    /// True if the bytes ended too early: more may mend it.
    struct EndOfBytes: Error {}

    private mutating func byte() throws -> UInt8 {
        guard at < bytes.count else { throw EndOfBytes() }
        defer { at += 1 }
        return bytes[at]
    }

    mutating func varint() throws -> UInt64 {
        var result: UInt64 = 0
        for shift in stride(from: UInt64(0), to: 70, by: 7) {
            let next = try byte()
            result |= UInt64(next & 0x7F) << shift
            if next & 0x80 == 0 { return result }
        }
        throw BrokenObject(reason: "its metadata holds a number that does not end")
    }

    mutating func integer() throws -> Int64 {
        let raw = try varint()
        return Int64(bitPattern: raw >> 1) ^ -Int64(bitPattern: raw & 1)
    }

    mutating func int() throws -> Int { Int(try integer()) }

    mutating func int8() throws -> Int { Int(Int8(bitPattern: try byte())) }

    mutating func binary() throws -> [UInt8] {
        let count = try varint()
        guard count <= UInt64(bytes.count - at) else { throw EndOfBytes() }
        defer { at += Int(count) }
        return Array(bytes[at..<at + Int(count)])
    }

    mutating func string() throws -> String { String(decoding: try binary(), as: UTF8.self) }

    /// Reads a struct field by field; what `body` does not read (it returns false) is skipped.
    mutating func readStruct(depth: Int = 0, _ body: (inout ThriftReader, Field) throws -> Bool) throws {
        var last = 0
        while true {
            let head = try byte()
            if head == 0 { return }
            let delta = Int(head >> 4)
            let id = delta == 0 ? try int() : last + delta
            // The protocol's field numbers have 16 bits.
            guard (0...Int(Int16.max)).contains(id) else {
                throw BrokenObject(reason: "its metadata holds a field of the number \(id)")
            }
            last = id
            let field = Field(id: id, type: head & 0x0F)
            if try !body(&self, field) { try skip(field.type, depth: depth + 1) }
        }
    }

    /// Reads a list's head: the type of its elements and how many there are, never more than bytes are left.
    mutating func listHead() throws -> (type: UInt8, count: Int) {
        let head = try byte()
        let short = Int(head >> 4)
        let count = short == 15 ? try varint() : UInt64(short)
        guard count <= UInt64(bytes.count - at) else { throw EndOfBytes() }
        return (head & 0x0F, Int(count))
    }

    /// - Parameters:
    ///   - least: bytes that an element takes at the least when it holds what it must: a few bytes may not claim to be many elements, which
    ///     take more memory than bytes.
    ///   - most: elements that there may be.
    mutating func readList<Element>(
        of what: String, least: Int = 1, most: Int = .max, _ element: (inout ThriftReader) throws -> Element
    ) throws -> [Element] {
        let count = try listHead().count
        guard count <= most else { throw BrokenObject(reason: "it has more than \(most) \(what)") }
        guard count <= (bytes.count - at) / least else {
            throw BrokenObject(reason: "its metadata is too short for \(count) \(what)")
        }
        var elements: [Element] = []
        elements.reserveCapacity(count)
        for _ in 0..<count { elements.append(try element(&self)) }
        return elements
    }

    private mutating func skip(_ type: UInt8, depth: Int) throws {
        guard depth < Self.maximumDepth else { throw BrokenObject(reason: "its metadata is nested too deeply") }
        switch type {
        case WireType.yes, WireType.no: break
        case 3: _ = try byte()
        case 4, 5, 6: _ = try varint()
        case 7:
            guard bytes.count - at >= 8 else { throw EndOfBytes() }
            at += 8
        case 8: _ = try binary()
        case WireType.list, WireType.set:
            let (type, count) = try listHead()
            for _ in 0..<count { try skipElement(type, depth: depth + 1) }
        case WireType.map:
            let count = try varint()
            guard count > 0 else { return }
            guard count <= UInt64(bytes.count - at) else { throw EndOfBytes() }
            let types = try byte()
            for _ in 0..<count {
                try skipElement(types >> 4, depth: depth + 1)
                try skipElement(types & 0x0F, depth: depth + 1)
            }
        case WireType.structure: try readStruct(depth: depth) { _, _ in false }
        default: throw BrokenObject(reason: "its metadata holds a field of the unknown type \(type)")
        }
    }

    /// Inside of lists and maps a bool takes a byte, so that every element takes one.
    private mutating func skipElement(_ type: UInt8, depth: Int) throws {
        if type == WireType.yes || type == WireType.no {
            _ = try byte()
        } else {
            try skip(type, depth: depth)
        }
    }
}
