extension Fault {
    /// Reads a spec such as `status=503,reason=backendError,on=insertAll,rate=0.05`.
    ///
    /// - Throws: `SandboxError.faultSpec`, which names what is not understood.
    package init(parsing spec: String) throws(SandboxError) {
        var fields = try SpecFields(spec)
        let kind = try Self.kind(&fields)
        self.init(spec: spec, kind: kind)
        switch kind {
        case .rowError, .loseRows, .newTableDelay, .loseNewTable, .schemaDelay, .dedupeWindow:
            operations = [.insertAll]
        case .pendingJob: operations = [.query]
        default: break
        }
        if case .truncate = kind { moment = .after }
        if case .garbage = kind { moment = .after }
        if fields.flags.contains("accept-then-drop-reply") { moment = .after }
        if let text = fields.take("when") {
            guard let value = Moment(rawValue: text) else { throw fields.problem("when= is 'before' or 'after'") }
            moment = value
        }
        try readScope(&fields)
        if let denied = fields.take("deny") { operations = try Self.operations(denied, fields) }
        if let unknown = fields.unread.first { throw fields.problem("'\(unknown)' is not known here") }
    }

    private mutating func readScope(_ fields: inout SpecFields) throws(SandboxError) {
        if let text = fields.take("on") { operations = try Self.operations(text, fields) }
        table = fields.take("table")
        if let text = fields.take("rate") {
            guard let value = Double(text), (0...1).contains(value) else {
                throw fields.problem("rate= is between 0 and 1")
            }
            rate = value
        }
        if let text = fields.take("after") {
            guard let value = Int(text), value >= 0 else { throw fields.problem("after= is a number of requests") }
            after = value
        }
        if let text = fields.take("times") {
            guard let value = Int(text), value >= 0 else { throw fields.problem("times= is a number of requests") }
            times = value
        }
    }

    private static func kind(_ fields: inout SpecFields) throws(SandboxError) -> Kind {
        var found: [Kind] = []
        if let status = try fields.number("status") {
            found.append(
                .status(
                    status, reason: fields.take("reason"), message: fields.take("message"),
                    retryAfter: try fields.duration("retry-after").map { Int($0.components.seconds) }))
        }
        if let status = try fields.number("html") { found.append(.html(status)) }
        for (flag, kind) in flags where fields.takeFlag(flag) { found.append(kind) }
        if let value = try fields.duration("stall") { found.append(.stall(value)) }
        if let value = try fields.duration("latency") { found.append(.latency(value)) }
        if let reason = fields.take("row-error") { found.append(.rowError(reason)) }
        if let value = try fields.duration("new-table-delay") { found.append(.newTableDelay(value)) }
        if let value = try fields.duration("lose-new-table") { found.append(.loseNewTable(value)) }
        if let value = try fields.duration("schema-delay") { found.append(.schemaDelay(value)) }
        if let value = try fields.duration("dedupe-window") { found.append(.dedupeWindow(value)) }
        if let limit = try fields.size("cut-upload") { found.append(.cutUpload(limit)) }
        if fields.has("deny") { found.append(.deny) }
        if let text = fields.take("seed") {
            guard let seed = UInt64(text) else { throw fields.problem("seed= is a whole number") }
            found.append(.seed(seed))
        }
        guard let kind = found.first else { throw fields.problem("it names no fault") }
        guard found.count == 1 else { throw fields.problem("it names more than one fault; give them one by one") }
        return kind
    }

    private static let flags: [(String, Kind)] = [
        ("accept-then-drop-reply", .drop), ("drop-before-accept", .drop), ("reset", .reset), ("truncate", .truncate),
        ("garbage", .garbage), ("raw-garbage", .rawGarbage), ("stopped", .rowError("stopped")),
        ("lose-rows", .loseRows), ("pending-job", .pendingJob),
    ]

    private static func operations(_ text: String, _ fields: SpecFields) throws(SandboxError) -> Set<Operation>? {
        if text == "any" { return nil }
        var result: Set<Operation> = []
        for name in text.split(separator: "|") {
            guard let operation = Operation(rawValue: String(name)) else {
                let known = Operation.allCases.map(\.rawValue).joined(separator: ", ")
                throw fields.problem("'\(name)' is none of any, \(known)")
            }
            result.insert(operation)
        }
        return result
    }
}

/// The comma-separated parts of a spec: `name=value` and bare flags.
private struct SpecFields {
    let spec: String
    private(set) var flags: [String] = []
    private var values: [(name: String, value: String)] = []
    private var readFlags: Set<String> = []

    init(_ spec: String) throws(SandboxError) {
        self.spec = spec
        for part in spec.split(separator: ",") {
            let pieces = part.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map {
                $0.trimmingSpaces()
            }
            if pieces.count == 2 {
                values.append((pieces[0], pieces[1]))
            } else {
                flags.append(pieces[0])
            }
        }
    }

    func problem(_ text: String) -> SandboxError { .faultSpec(spec: spec, problem: text) }

    var unread: [String] { values.map(\.name) + flags.filter { !readFlags.contains($0) } }

    func has(_ name: String) -> Bool { values.contains { $0.name == name } }

    mutating func take(_ name: String) -> String? {
        guard let index = values.firstIndex(where: { $0.name == name }) else { return nil }
        return values.remove(at: index).value
    }

    mutating func takeFlag(_ name: String) -> Bool {
        guard flags.contains(name) else { return false }
        readFlags.insert(name)
        return true
    }

    mutating func number(_ name: String) throws(SandboxError) -> Int? {
        guard let text = take(name) else { return nil }
        guard let value = Int(text), (100...599).contains(value) else { throw problem("\(name)= is an HTTP status") }
        return value
    }

    mutating func size(_ name: String) throws(SandboxError) -> Int? {
        guard let text = take(name) else { return nil }
        let units = [("KiB", 1 << 10), ("MiB", 1 << 20), ("", 1)]
        guard let unit = units.first(where: { text.hasSuffix($0.0) }),
            let value = Int(text.dropLast(unit.0.count)), (0...1 << 20).contains(value)
        else { throw problem("\(name)= is a size such as 500KiB or 9MiB") }
        return value * unit.1
    }

    mutating func duration(_ name: String) throws(SandboxError) -> Duration? {
        guard let text = take(name) else { return nil }
        let units: [(String, Double)] = [("ms", 0.001), ("us", 0.000_001), ("s", 1), ("m", 60), ("h", 3600)]
        guard let unit = units.first(where: { text.hasSuffix($0.0) }),
            let value = Double(text.dropLast(unit.0.count)), value >= 0, value.isFinite
        else { throw problem("\(name)= is a duration such as 20ms, 5s or 1m") }
        return .microseconds(Int64(value * unit.1 * 1_000_000))
    }
}

extension Substring {
    fileprivate func trimmingSpaces() -> String {
        String(drop { $0 == " " }.reversed().drop { $0 == " " }.reversed())
    }
}
