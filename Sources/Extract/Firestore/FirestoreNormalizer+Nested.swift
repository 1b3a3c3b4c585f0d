internal import JSONBytes

/// Arrays and maps as JSON text.
extension FirestoreNormalizer {
    /// Firestore nests maps and arrays 20 deep (quotas page); a level takes four JSON levels.
    private static let maximumDepth = 64

    private func writeNested(_ reader: inout JSONReader, depth: Int) throws {
        guard depth < Self.maximumDepth else {
            throw MalformedValue(reason: "values nested too deeply", offset: reader.at)
        }
        guard try reader.enterObject() else { throw MalformedValue(reason: "a value without type", offset: reader.at) }
        let token = try reader.readKey()
        switch FirestoreValueKind(token, reader) {
        case .map: try writeMap(&reader, depth: depth + 1)
        case .array: try writeArray(&reader, depth: depth + 1)
        case .geoPoint:
            let point = try readGeoPoint(&reader)
            nested.append("{\"latitude\":")
            nested.append(point.latitude.description)
            nested.append(",\"longitude\":")
            nested.append(point.longitude.description)
            nested.append(UInt8(ascii: "}"))
        case let kind: _ = try writeScalar(kind, token, &reader, to: nested)
        }
        guard try !reader.hasNextMember() else {
            throw MalformedValue(reason: "a value with two types", offset: reader.at)
        }
    }

    func writeArray(_ reader: inout JSONReader, depth: Int) throws {
        nested.append(UInt8(ascii: "["))
        if try enterOnlyMember("values", &reader) {
            if try reader.enterArray() {
                var isFirst = true
                repeat {
                    if !isFirst { nested.append(UInt8(ascii: ",")) }
                    isFirst = false
                    try writeNested(&reader, depth: depth)
                } while try reader.hasNextItem()
            }
            guard try !reader.hasNextMember() else {
                throw MalformedValue(reason: "an array with an unknown member", offset: reader.at)
            }
        }
        nested.append(UInt8(ascii: "]"))
    }

    /// Members are written as they come and put into byte order of their names where they were not.
    func writeMap(_ reader: inout JSONReader, depth: Int) throws {
        let start = nested.count
        let first = members.count
        defer { members.removeLast(members.count - first) }
        nested.append(UInt8(ascii: "{"))
        var isVector = false
        var isSorted = true
        if try enterOnlyMember("fields", &reader) {
            if try reader.enterObject() {
                repeat {
                    let key = try reader.readKey()
                    if members.count > first { nested.append(UInt8(ascii: ",")) }
                    let memberStart = nested.count
                    nested.appendNormalizedString(reader.raw(key), isPlain: key.isPlain, scratch: decoded)
                    let nameEnd = nested.count
                    var member = Member(
                        name: key.isPlain ? nil : decoded.array, nameRange: memberStart + 1..<nameEnd - 1,
                        end: nameEnd, isVectorValue: reader.matches(key, "value"))
                    nested.append(UInt8(ascii: ":"))
                    try writeNested(&reader, depth: depth)
                    member.end = nested.count
                    if reader.matches(key, "__type__") {
                        isVector = nested.bytes(nameEnd + 1..<nested.count).elementsEqual("\"__vector__\"".utf8)
                    }
                    if isSorted, members.count > first { isSorted = precedes(members[members.count - 1], member) }
                    members.append(member)
                } while try reader.hasNextMember()
            }
            guard try !reader.hasNextMember() else {
                throw MalformedValue(reason: "a map with an unknown member", offset: reader.at)
            }
        }
        nested.append(UInt8(ascii: "}"))
        if isVector, let value = members[first...].first(where: \.isVectorValue) {
            replace(from: start, with: value.nameRange.upperBound + 2..<value.end)
        } else if !isSorted {
            arrange(members[first...].sorted(by: precedes), from: start)
        }
    }

    private func precedes(_ left: Member, _ right: Member) -> Bool {
        if left.name == nil, right.name == nil {
            return nested.bytes(left.nameRange).lexicographicallyPrecedes(nested.bytes(right.nameRange))
        }
        let leftName = left.name ?? Array(nested.bytes(left.nameRange))
        let rightName = right.name ?? Array(nested.bytes(right.nameRange))
        return leftName.lexicographicallyPrecedes(rightName)
    }

    /// Writes the object that begins at `start` anew with its members in this order.
    private func arrange(_ ordered: [Member], from start: Int) {
        sorting.removeAll()
        for (index, member) in ordered.enumerated() {
            sorting.append(index == 0 ? UInt8(ascii: "{") : UInt8(ascii: ","))
            sorting.append(nested.bytes(member.start..<member.end))
        }
        sorting.append(UInt8(ascii: "}"))
        nested.truncate(to: start)
        nested.append(sorting)
    }

    private func replace(from start: Int, with range: Range<Int>) {
        sorting.removeAll()
        sorting.append(nested.bytes(range))
        nested.truncate(to: start)
        nested.append(sorting)
    }

    /// Enters `{"name":`; false for `{}`.
    private func enterOnlyMember(_ name: StaticString, _ reader: inout JSONReader) throws -> Bool {
        guard try reader.enterObject() else { return false }
        let key = try reader.readKey()
        guard reader.matches(key, name) else {
            throw MalformedValue(reason: "an unknown member where \(name) belongs", offset: key.start)
        }
        return true
    }
}
