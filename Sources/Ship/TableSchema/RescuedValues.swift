internal import JSONBytes

/// Gathers the values of one row that do not fit their columns and writes them as the `_rescued` column has them: a JSON object by column,
/// keys sorted, values as they stood in the payload, together with what the payload itself had rescued. Of a column of which both are there,
/// the payload's own stays: it is the source's text, of which the column has what its type could hold.
///
/// One owner, used again for every row.
final class RescuedValues {
    private var entries: [(name: Range<Int>, value: Range<Int>)] = []
    private let storage = ByteBuffer()
    private let object = ByteBuffer()

    var isEmpty: Bool { entries.isEmpty }

    func removeAll() {
        entries.removeAll(keepingCapacity: true)
        storage.removeAll()
    }

    /// - Parameter name: a column's name, as the content of a JSON string.
    func add(_ name: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) {
        let start = storage.count
        storage.append(name)
        let middle = storage.count
        storage.append(value)
        entries.append((start..<middle, middle..<storage.count))
    }

    /// Adds the members of the payload's own `_rescued`. False if it is no JSON object.
    func addMembers(of json: UnsafeRawBufferPointer) -> Bool {
        guard let base = json.baseAddress else { return false }
        var reader = JSONReader(base.assumingMemoryBound(to: UInt8.self), count: json.count)
        do throws(JSONSyntaxError) {
            guard try reader.enterObject() else { return true }
            repeat {
                let key = try reader.readKey()
                reader.skipWhitespace()
                let start = reader.at
                try reader.skipValue()
                add(reader.raw(key), UnsafeRawBufferPointer(start: base + start, count: reader.at - start))
            } while try reader.hasNextMember()
            return true
        } catch {
            return false
        }
    }

    /// Appends the object as a quoted JSON string.
    func write(to target: ByteBuffer) {
        entries.sort { left, right in
            let (first, second) = (storage.bytes(left.name), storage.bytes(right.name))
            // The payload's own stands before its fields and was added first.
            return first.elementsEqual(second)
                ? left.name.lowerBound < right.name.lowerBound : first.lexicographicallyPrecedes(second)
        }
        object.removeAll()
        object.append(UInt8(ascii: "{"))
        for (index, entry) in entries.enumerated() {
            if index > 0 {
                if storage.bytes(entries[index - 1].name).elementsEqual(storage.bytes(entry.name)) { continue }
                object.append(UInt8(ascii: ","))
            }
            object.append(UInt8(ascii: "\""))
            object.append(storage.bytes(entry.name))
            object.append("\":")
            object.append(storage.bytes(entry.value))
        }
        object.append(UInt8(ascii: "}"))
        target.appendJSONString(object.bytes)
    }
}
