internal import JSONBytes
internal import Spool

#if canImport(Glibc)
    internal import Glibc
#endif

/// The fields of one stream and their columns. Looks fields up by their bytes, without making a `String` per row.
///
/// A new field gets its column at the end of the page it first occurs in: within a page, clashing names are given out in byte order.
final class FieldTable {
    struct Field {
        /// The field's name in UTF-8, decoded.
        var name: [UInt8]
        /// The final column name; empty until the page's end.
        var column: String
        /// Where the member's opening in a row (`,"column":`) stands in `openings`.
        var opening = 0..<0
        /// False for fields that `columns` or `exclude` leave out.
        var isSelected: Bool
        /// Where the column stands among all columns, in byte order of their names.
        var rank: Int32 = -1
    }

    private(set) var fields: [Field] = []
    /// One after the other in one buffer: an array for each would have its reference counted for every value.
    private let openings = ByteBuffer(capacity: 1 << 10)
    private var buckets: [Int32]
    private var unnamed: [Int32] = []
    /// Names before `rename`: what `rename` goes by.
    private var takenBases: TakenNames
    /// Final names.
    private var taken: TakenNames
    /// The fields that have a column, in byte order of its name.
    private var ranked: [Int32] = []
    private let selection: FieldSelection
    private let renames: [String: String]
    private(set) var newColumns: [ColumnName] = []

    /// - Parameters:
    ///   - known: the columns of an earlier run. They keep their base names for ever, and their final ones as long as `rename` says the same.
    ///   - metadataNames: final names of the metadata columns; no field may take one.
    init(known: [ColumnName], selection: FieldSelection, renames: [String: String], metadataNames: [String]) {
        buckets = [Int32](repeating: -1, count: 256)
        takenBases = TakenNames(MetadataColumn.allCases.map(\.rawValue))
        taken = TakenNames(metadataNames)
        self.selection = selection
        self.renames = renames
        let known = known.sorted { $0.field < $1.field }
        for name in known {
            add(Array(name.field.utf8))
            takenBases.insert(name.base)
        }
        // First whoever keeps the final name, so that no name changes its meaning; then those that `rename` moves.
        for keeps in [true, false] {
            for (index, name) in known.enumerated() where keepsColumn(name) == keeps {
                give(field: index, taken.unique(keeps ? name.column : wanted(name.base)))
                if fields[index].column != name.column {
                    newColumns.append(ColumnName(field: name.field, base: name.base, column: fields[index].column))
                }
            }
        }
        unnamed.removeAll()
        rank(fields.indices.map(Int32.init))
    }

    private func wanted(_ base: String) -> String { renames[base] ?? base }

    /// True if the column's final name is what `rename` wants now, or that with a number because of a clash.
    private func keepsColumn(_ name: ColumnName) -> Bool {
        let wanted = wanted(name.base)
        if name.column == wanted { return true }
        guard let mark = name.column.lastIndex(of: "_"), Int(name.column[name.column.index(after: mark)...]) != nil
        else { return false }
        return wanted.hasPrefix(name.column[..<mark]) && name.column[..<mark].count >= min(wanted.count, 290)
    }

    /// The number of a field; added if it is new.
    @inline(__always)
    func number(of name: UnsafeRawBufferPointer) -> Int {
        let mask = buckets.count - 1
        var bucket = Int(truncatingIfNeeded: Self.hash(name)) & mask
        while true {
            let candidate = buckets[bucket]
            if candidate < 0 { break }
            if matches(Int(candidate), name) { return Int(candidate) }
            bucket = (bucket + 1) & mask
        }
        return add([UInt8](name))
    }

    @inline(__always)
    func matches(_ field: Int, _ name: UnsafeRawBufferPointer) -> Bool {
        fields[field].name.withUnsafeBytes { known in
            guard known.count == name.count, let left = known.baseAddress, let right = name.baseAddress else {
                return known.count == name.count
            }
            return memcmp(left, right, name.count) == 0
        }
    }

    /// Gives names to the fields that this page brought, in byte order. Fields of a record that did not become whole wait.
    ///
    /// - Parameter isUsed: whether a field belongs to a record of the page.
    func nameNewFields(_ isUsed: (Int32) -> Bool) {
        guard !unnamed.isEmpty else { return }
        let used = unnamed.filter(isUsed)
        guard !used.isEmpty else { return }
        let order = used.sorted { fields[Int($0)].name.lexicographicallyPrecedes(fields[Int($1)].name) }
        for number in order {
            let index = Int(number)
            let field = ExactText(String(decoding: fields[index].name, as: UTF8.self))
            let base = takenBases.unique(ColumnNaming.sanitized(field.string))
            takenBases.insert(base)
            give(field: index, taken.unique(wanted(base)))
            newColumns.append(ColumnName(field: field, base: base, column: fields[index].column))
        }
        unnamed.removeAll { !fields[Int($0)].column.isEmpty }
        rank(order)
    }

    /// Takes a field in that `columns` or `exclude` leave out: a watermark is always among the fields.
    func select(_ field: Int) {
        guard !fields[field].isSelected else { return }
        fields[field].isSelected = true
        if fields[field].column.isEmpty { unnamed.append(Int32(field)) }
    }

    /// True if there are fields without a column.
    var hasUnnamedFields: Bool { !unnamed.isEmpty }

    /// Columns named since the last call, to be stored with the page.
    func takeNewColumns() -> [ColumnName] {
        defer { newColumns.removeAll() }
        return newColumns
    }

    @discardableResult
    private func add(_ name: [UInt8]) -> Int {
        let number = fields.count
        let isSelected = selection.includes(ExactText(String(decoding: name, as: UTF8.self)))
        fields.append(Field(name: name, column: "", isSelected: isSelected))
        if isSelected { unnamed.append(Int32(number)) }
        if fields.count * 2 > buckets.count {
            buckets = [Int32](repeating: -1, count: buckets.count * 4)
            for index in fields.indices { insert(index) }
        } else {
            insert(number)
        }
        return number
    }

    private func insert(_ number: Int) {
        let mask = buckets.count - 1
        var bucket = fields[number].name.withUnsafeBytes { Int(truncatingIfNeeded: Self.hash($0)) & mask }
        while buckets[bucket] >= 0 { bucket = (bucket + 1) & mask }
        buckets[bucket] = Int32(number)
    }

    private func give(field index: Int, _ column: String) {
        taken.insert(column)
        fields[index].column = column
        let start = openings.count
        openings.append(UInt8(ascii: ","))
        openings.appendJSONString(column)
        openings.append(UInt8(ascii: ":"))
        fields[index].opening = start..<openings.count
    }

    /// Appends the opening of the field's member to a row.
    @inline(__always)
    func appendOpening(of field: Int, to target: ByteBuffer) {
        let range = fields[field].opening
        target.append(openings.base + range.lowerBound, count: range.count)
    }

    /// Takes fields that got their columns into the order of all: new ones are few beside thousands of known ones.
    private func rank(_ added: [Int32]) {
        func precedes(_ left: Int32, _ right: Int32) -> Bool {
            fields[Int(left)].column.utf8.lexicographicallyPrecedes(fields[Int(right)].column.utf8)
        }
        var merged: [Int32] = []
        merged.reserveCapacity(ranked.count + added.count)
        var rest = ranked[...]
        for number in added.sorted(by: precedes) {
            var (low, high) = (rest.startIndex, rest.endIndex)
            while low < high {
                let middle = (low + high) / 2
                if precedes(rest[middle], number) { low = middle + 1 } else { high = middle }
            }
            merged += rest[..<low]
            merged.append(number)
            rest = rest[low...]
        }
        merged += rest
        ranked = merged
        for (rank, number) in ranked.enumerated() { fields[Int(number)].rank = Int32(rank) }
    }

    /// FNV-1a, eight bytes a step; names are short and few.
    @inline(__always)
    private static func hash(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        var index = 0
        while index + 8 <= bytes.count {
            hash = (hash ^ bytes.loadUnaligned(fromByteOffset: index, as: UInt64.self)) &* 0x9E37_79B9_7F4A_7C15
            hash ^= hash >> 29
            index += 8
        }
        while index < bytes.count {
            hash = (hash ^ UInt64(bytes[index])) &* 0x0000_0100_0000_01B3
            index += 1
        }
        return hash ^ (hash >> 32)
    }
}

/// `columns` and `exclude` of a stream, by the source's field names.
struct FieldSelection: Sendable {
    var columns: Set<ExactText>?
    var exclude: Set<ExactText>

    init(columns: Set<ExactText>?, exclude: Set<ExactText>) {
        self.columns = columns
        self.exclude = exclude
    }

    init(_ stream: ExtractRequest) {
        self.init(columns: stream.columns.map { Set($0.map(\.exact)) }, exclude: Set(stream.exclude.map(\.exact)))
    }

    func includes(_ field: ExactText) -> Bool {
        if let columns { return columns.contains(field) }
        return !exclude.contains(field)
    }
}

extension FieldTable {
    func matches(_ field: Int, _ name: [UInt8]) -> Bool { fields[field].name == name }
}
