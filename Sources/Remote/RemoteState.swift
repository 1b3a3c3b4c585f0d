import JSONBytes
import Spool

/// What the store knows: the current copy, who works with it, and which spool went on from it last.
struct RemoteState: Sendable, Equatable {
    /// A copy of the spool, in parts.
    struct Copy: Sendable, Equatable {
        var id: String
        var parts: Int
        /// Of all parts.
        var bytes: Int64
        /// Of the spool's file.
        var unpackedBytes: Int64
        /// Of all parts, hexadecimal.
        var sha256: String
        var savedAt: String
        var savedBy: String

        static let prefix = "copy-"
        func name(of part: Int) -> String { Self.name(id, part) }
        static func name(_ id: String, _ part: Int) -> String {
            let digits = String(part)
            return prefix + id + "." + String(repeating: "0", count: max(0, 5 - digits.count)) + digits
        }
        /// The copy that a part belongs to.
        static func id(ofPart name: String) -> String? {
            guard name.hasPrefix(prefix), let dot = name.lastIndex(of: ".") else { return nil }
            return String(name[..<dot].dropFirst(prefix.count))
        }
    }

    struct Lock: Sendable, Equatable {
        var id: String
        /// In words.
        var holder: String
        var host: String
        /// The spool's path there.
        var spool: String
        var leaseSeconds: Int64
    }

    static let name = "etlctl-spool.json"
    static let version: Int64 = 1

    /// Another one with each write: tells whether a write whose answer was lost has arrived.
    var write = ""
    /// Of the spool that has or had the lock last.
    var lineage: String?
    var copy: Copy?
    var lock: Lock?
}

extension RemoteState {
    init(parsing bytes: [UInt8], url: String) throws(RemoteError) {
        guard let json = try? JSONValue(parsing: bytes), let version = json["version"]?.intValue else {
            throw .damaged(url: url, reason: "\(Self.name) is no JSON object of etlctl's")
        }
        guard version <= Self.version else { throw .newer(url: url, version: version) }
        write = json["write"]?.stringValue ?? ""
        lineage = json["lineage"]?.stringValue
        if let copy = json["copy"], !copy.isNull {
            guard let id = copy["id"]?.stringValue, let parts = copy["parts"]?.intValue.flatMap({ Int(exactly: $0) }),
                (1...1_000_000).contains(parts), let bytes = copy["bytes"]?.intValue,
                let unpacked = copy["unpacked_bytes"]?.intValue, let sum = copy["sha256"]?.stringValue,
                !id.isEmpty, id.utf8.allSatisfy({ $0 >= 0x30 && $0 <= 0x39 || $0 >= 0x61 && $0 <= 0x66 })
            else { throw .damaged(url: url, reason: "\(Self.name) names no copy that can be read") }
            self.copy = Copy(
                id: id, parts: parts, bytes: bytes, unpackedBytes: unpacked, sha256: sum,
                savedAt: copy["saved_at"]?.stringValue ?? "", savedBy: copy["saved_by"]?.stringValue ?? "")
        }
        if let lock = json["lock"], !lock.isNull {
            self.lock = Lock(
                id: lock["id"]?.stringValue ?? "", holder: lock["holder"]?.stringValue ?? "another etlctl",
                host: lock["host"]?.stringValue ?? "", spool: lock["spool"]?.stringValue ?? "",
                leaseSeconds: lock["lease_seconds"]?.intValue ?? 120)
        }
    }

    var bytes: [UInt8] {
        func text(_ value: String?) -> JSONValue { value.map { .string($0) } ?? .null }
        func number(_ value: Int64) -> JSONValue { .number(String(value)) }
        func object(_ members: KeyValuePairs<String, JSONValue>) -> JSONValue {
            .object(members.map { JSONMember($0.key, $0.value) })
        }
        return object([
            "version": number(Self.version), "write": .string(write), "lineage": text(lineage),
            "copy": copy.map { copy in
                object([
                    "id": .string(copy.id), "parts": number(Int64(copy.parts)), "bytes": number(copy.bytes),
                    "unpacked_bytes": number(copy.unpackedBytes), "sha256": .string(copy.sha256),
                    "saved_at": .string(copy.savedAt), "saved_by": .string(copy.savedBy),
                ])
            } ?? .null,
            "lock": lock.map { lock in
                object([
                    "id": .string(lock.id), "holder": .string(lock.holder), "host": .string(lock.host),
                    "spool": .string(lock.spool), "lease_seconds": number(lock.leaseSeconds),
                ])
            } ?? .null,
        ]).bytes
    }
}

/// Names that nobody else makes.
enum RandomName {
    static func make() -> String {
        (0..<2).map { _ in
            let digits = String(UInt64.random(in: 0 ... .max), radix: 16)
            return String(repeating: "0", count: 16 - digits.count) + digits
        }.joined()
    }
}
