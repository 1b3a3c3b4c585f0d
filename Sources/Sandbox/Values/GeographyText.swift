internal import JSONBytes

/// Checks that a text is a geography that BigQuery can read: WKT, or GeoJSON as text (geography functions page). The form is checked and
/// every coordinate, not the topology (crossing edges, ring orientation).
struct GeographyText {
    private let text: [UInt8]
    private var at = 0

    private init(_ text: [UInt8]) { self.text = text }

    static func isValid(_ text: UnsafeRawBufferPointer) -> Bool {
        let bytes = Array(text)
        if bytes.first(where: { !isSpace($0) }) == UInt8(ascii: "{") {
            guard let value = try? JSONValue(parsing: bytes) else { return false }
            return isGeoJSON(value)
        }
        var parser = GeographyText(bytes)
        guard parser.geometry() else { return false }
        parser.skipSpaces()
        return parser.at == bytes.count
    }

    // MARK: WKT

    private static func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || (0x09...0x0D).contains(byte) }

    private mutating func skipSpaces() {
        while at < text.count, Self.isSpace(text[at]) { at += 1 }
    }

    private mutating func consume(_ character: Unicode.Scalar) -> Bool {
        skipSpaces()
        guard at < text.count, text[at] == UInt8(ascii: character) else { return false }
        at += 1
        return true
    }

    private mutating func word() -> String {
        skipSpaces()
        let start = at
        while at < text.count, (0x41...0x5A).contains(text[at] & 0xDF) { at += 1 }
        return String(decoding: text[start..<at], as: UTF8.self).uppercased()
    }

    private mutating func geometry() -> Bool {
        let kind = word()
        let before = at
        if word() == "EMPTY" { return Self.nesting[kind] != nil || kind == "GEOMETRYCOLLECTION" }
        at = before
        if kind == "GEOMETRYCOLLECTION" { return list { $0.geometry() } }
        guard let levels = Self.nesting[kind] else { return false }
        if kind == "MULTIPOINT" {
            // Both MULTIPOINT(1 2, 3 4) and MULTIPOINT((1 2), (3 4)) are in use.
            return list { $0.consume("(") ? $0.position() && $0.consume(")") : $0.position() }
        }
        return coordinates(levels)
    }

    /// How deep the lists of positions are.
    private static let nesting = [
        "POINT": 1, "LINESTRING": 1, "MULTIPOINT": 1, "POLYGON": 2, "MULTILINESTRING": 2, "MULTIPOLYGON": 3,
    ]

    private mutating func coordinates(_ levels: Int) -> Bool {
        list { levels == 1 ? $0.position() : $0.coordinates(levels - 1) }
    }

    private mutating func list(_ item: (inout GeographyText) -> Bool) -> Bool {
        guard consume("(") else { return false }
        repeat {
            guard item(&self) else { return false }
        } while consume(",")
        return consume(")")
    }

    private mutating func position() -> Bool {
        guard let longitude = number(), let latitude = number() else { return false }
        return Self.isOnEarth(longitude: longitude, latitude: latitude)
    }

    private mutating func number() -> Double? {
        skipSpaces()
        let start = at
        while at < text.count, "+-.eE0123456789".utf8.contains(text[at]) { at += 1 }
        return Double(String(decoding: text[start..<at], as: UTF8.self))
    }

    private static func isOnEarth(longitude: Double, latitude: Double) -> Bool {
        (-180...180).contains(longitude) && (-90...90).contains(latitude)
    }

    // MARK: GeoJSON

    private static func isGeoJSON(_ value: JSONValue) -> Bool {
        guard let kind = value["type"]?.stringValue else { return false }
        if kind == "GeometryCollection" { return value["geometries"]?.arrayValue?.allSatisfy(isGeoJSON) ?? false }
        let levels: [String: Int] = [
            "Point": 0, "MultiPoint": 1, "LineString": 1, "MultiLineString": 2, "Polygon": 2, "MultiPolygon": 3,
        ]
        guard let level = levels[kind], let coordinates = value["coordinates"] else { return false }
        return isPositions(coordinates, level: level)
    }

    private static func isPositions(_ value: JSONValue, level: Int) -> Bool {
        guard let items = value.arrayValue else { return false }
        if level > 0 { return items.allSatisfy { isPositions($0, level: level - 1) } }
        guard items.count >= 2, case .number = items[0], case .number = items[1], let longitude = items[0].doubleValue,
            let latitude = items[1].doubleValue
        else { return false }
        return isOnEarth(longitude: longitude, latitude: latitude)
    }
}
