/// A document's path as bytes that sort as Firestore orders `__name__`: numeric ids (`__id7__`) first, by number, then UTF-8 bytes.
///
/// About the path's own length plus three bytes a segment; decodes back to the path.
enum FirestoreKey {
    private static let numeric: UInt8 = 1
    private static let text: UInt8 = 2

    static func encode(path: UnsafeRawBufferPointer) -> [UInt8] {
        var key: [UInt8] = []
        key.reserveCapacity(path.count + 8)
        for segment in path.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false) {
            if let number = numericID(UnsafeRawBufferPointer(rebasing: segment)) {
                key.append(numeric)
                let shifted = UInt64(bitPattern: number) ^ (1 << 63)
                for shift in stride(from: 56, through: 0, by: -8) {
                    key.append(UInt8(truncatingIfNeeded: shifted >> UInt64(shift)))
                }
                continue
            }
            key.append(text)
            for byte in segment {
                key.append(byte)
                if byte == 0 { key.append(0xFF) }
            }
            key.append(0)
            key.append(1)
        }
        return key
    }

    /// True if one path stands before the other in the order of `__name__`.
    static func precedes(_ left: String, _ right: String) -> Bool {
        func key(_ path: String) -> [UInt8] { Array(path.utf8).withUnsafeBytes { encode(path: $0) } }
        return key(left).lexicographicallyPrecedes(key(right))
    }

    static func path(of key: [UInt8]) -> [UInt8] {
        var path: [UInt8] = []
        var index = 0
        while index < key.count {
            if index > 0 { path.append(UInt8(ascii: "/")) }
            if key[index] == numeric {
                var shifted: UInt64 = 0
                for offset in 1...8 where index + offset < key.count {
                    shifted = shifted << 8 | UInt64(key[index + offset])
                }
                path += Array("__id\(Int64(bitPattern: shifted ^ (1 << 63)))__".utf8)
                index += 9
                continue
            }
            index += 1
            while index + 1 < key.count, !(key[index] == 0 && key[index + 1] == 1) {
                path.append(key[index])
                index += key[index] == 0 ? 2 : 1
            }
            index += 2
        }
        return path
    }

    /// The number of an id `__idN__`, which only imports from Datastore make.
    private static func numericID(_ id: UnsafeRawBufferPointer) -> Int64? {
        guard id.count > 6, id.starts(with: "__id".utf8), id[id.count - 1] == UInt8(ascii: "_"),
            id[id.count - 2] == UInt8(ascii: "_")
        else { return nil }
        let digits = UnsafeRawBufferPointer(rebasing: id[4..<id.count - 2])
        guard let number = Int64(decimal: digits), "\(number)".utf8.elementsEqual(digits) else { return nil }
        return number
    }
}
