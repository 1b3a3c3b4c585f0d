internal import JSONBytes

/// Where a run over objects stands. Which objects it has read to their end is kept beside, with the objects.
struct FilesPosition {
    enum Phase: String {
        case read
        case delete
    }

    /// An object that was read in part.
    struct Part: Equatable {
        var object: StoredObject
        /// The run's how-many-th reading of an object this is.
        var attempt: Int
        var place: TextPlace
    }

    var phase = Phase.read
    /// Rows of an earlier life of the stream may still be in the spool, under the same ids.
    var looksUp: Bool
    /// Readings that this run has begun of objects.
    var attempts = 0
    /// Rows are spooled of an object that was not read to its end in that version: their keys may come again, and a snapshot with them would
    /// be of two versions.
    var hasStrayRows = false
    var part: Part?

    init(looksUp: Bool) { self.looksUp = looksUp }

    var json: JSONValue {
        var members: [(String, JSONValue)] = [
            ("phase", .string(phase.rawValue)), ("looksUp", .bool(looksUp)), ("attempts", .number(String(attempts))),
            ("stray", .bool(hasStrayRows)),
        ]
        if let part {
            members += [
                ("object", .string(part.object.name)), ("version", .string(part.object.version)),
                ("size", .number(String(part.object.size))), ("attempt", .number(String(part.attempt))),
                ("offset", .number(String(part.place.offset))), ("line", .number(String(part.place.line))),
                ("row", .number(String(part.place.row))), ("bad", .number(String(part.place.bad))),
            ]
        }
        return JSONValue(members)
    }

    init?(_ json: JSONValue?) {
        guard let json, let phase = json["phase"]?.stringValue.flatMap(Phase.init(rawValue:)) else { return nil }
        self.phase = phase
        looksUp = json["looksUp"]?.boolValue ?? false
        attempts = Int(json["attempts"]?.intValue ?? 0)
        hasStrayRows = json["stray"]?.boolValue ?? false
        guard let name = json["object"]?.stringValue, let version = json["version"]?.stringValue else { return }
        var place = TextPlace()
        place.offset = json["offset"]?.intValue ?? 0
        place.line = Int(json["line"]?.intValue ?? 0)
        place.row = Int(json["row"]?.intValue ?? 0)
        place.bad = Int(json["bad"]?.intValue ?? 0)
        part = Part(
            object: StoredObject(name: name, size: json["size"]?.intValue ?? 0, version: version),
            attempt: Int(json["attempt"]?.intValue ?? 0), place: place)
    }
}
