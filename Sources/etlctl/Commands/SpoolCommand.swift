import ArgumentParser
import JSONBytes
import Spool

/// `etlctl spool`: care for the spool file.
struct SpoolCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "spool", abstract: "Verify, back up or compact the spool file.",
        subcommands: [SpoolVerify.self, SpoolBackup.self, SpoolCompact.self])
}

struct SpoolVerify: EtlctlCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify",
        abstract: "Say what is hurt in the spool, by stream and range of rows.",
        discussion:
            "--quarantine sets damaged rows aside, so that all others stay shippable. Exit code 74 where something is hurt."
    )

    @OptionGroup var global: GlobalOptions

    @Flag(
        help: "Set damaged rows aside; a damaged file is replaced by one made of what can be read, and kept beside it.")
    var quarantine = false

    func run(in session: CommandSession) async throws -> CommandOutcome {
        let configuration = try session.loadConfiguration()
        let path = configuration.spool.path
        guard quarantine else {
            let damage = try await SpoolStore.verify(path: path, payloadMatches: PayloadCheck.matches)
            return CommandOutcome(
                json: Self.json(damage), text: Self.text(damage, path),
                failure: damage.isSound
                    ? nil
                    : .spool(
                        "The spool \(path) is damaged.",
                        hint: "etlctl spool verify --quarantine keeps what is sound shippable."))
        }
        let holder = CommandEnvironment(configuration, session).holder("spool verify --quarantine")
        let result = try await SpoolStore.quarantine(
            path: path, holder: holder, payloadMatches: PayloadCheck.matches)
        var lines = [Self.text(result.damage, path)]
        if !result.damage.isSound {
            lines.append(
                "Set aside: \(result.rejected) rows that were not delivered (now rejected, reason damaged), \(result.settled) that were."
            )
        }
        if let kept = result.keptAs { lines.append("The damaged file is kept as \(kept).") }
        return CommandOutcome(
            json: Self.json(result.damage).with("rejected", .int(result.rejected)).with("settled", .int(result.settled))
                .with("kept_as", .string(result.keptAs)),
            text: lines.joined(separator: "\n"))
    }

    private static func json(_ damage: SpoolDamage) -> JSONValue {
        [
            "sound": .bool(damage.isSound), "file": .array(damage.file.map { .string($0) }),
            "rows": .array(
                damage.rows.map { rows in
                    [
                        "stream": .string(rows.stream), "table": .string(rows.table),
                        "first_row": .int(rows.first.rawValue),
                        "last_row": .int(rows.last.rawValue), "kind": .string(rows.kind.rawValue),
                    ]
                }),
            "quarantined": .int(damage.quarantined),
        ]
    }

    private static func text(_ damage: SpoolDamage, _ path: String) -> String {
        var lines = damage.isSound ? ["The spool \(path) is sound."] : damage.file.map { "file: \($0)" }
        lines += damage.rows.map {
            "\($0.stream): rows \($0.first.rawValue) to \($0.last.rawValue) are \($0.kind.rawValue)"
        }
        if damage.quarantined > 0 { lines.append("\(damage.quarantined) rows were set aside earlier.") }
        return lines.map(Readable.plain).joined(separator: "\n")
    }
}

struct SpoolBackup: EtlctlCommand {
    static let configuration = CommandConfiguration(
        commandName: "backup",
        abstract: "Copy the spool as it is at one moment, while others go on.",
        discussion:
            "A spool opened from the copy starts with its pending rows in doubt: the original may have sent them.")

    @OptionGroup var global: GlobalOptions
    @Argument(help: "The file to write; it must not exist.", completion: .file()) var path: String

    func run(in session: CommandSession) async throws -> CommandOutcome {
        let configuration = try session.loadConfiguration()
        let target = FilePaths.resolve(
            path, below: session.context.workingDirectory, home: session.context.environment["HOME"])
        let store = try await CommandEnvironment(configuration, session).openSpool()
        try await store.backup(to: target)
        return CommandOutcome(json: ["path": .string(target)], text: "Copied the spool to \(target).")
    }
}

struct SpoolCompact: EtlctlCommand {
    static let configuration = CommandConfiguration(
        commandName: "compact", abstract: "Give the room of removed rows back to the file system.")

    @OptionGroup var global: GlobalOptions

    func run(in session: CommandSession) async throws -> CommandOutcome {
        let configuration = try session.loadConfiguration()
        let store = try await CommandEnvironment(configuration, session).openSpool()
        let (before, after) = try await store.compact()
        return CommandOutcome(
            json: ["bytes_before": .int(before), "bytes_after": .int(after)],
            text: "The spool had \(Readable.bytes(before)) and has \(Readable.bytes(after)).")
    }
}
