import ArgumentParser
import Extract
import JSONBytes
import Remote
import Ship
import Spool

/// `etlctl check`: what would go wrong, before it does.
struct CheckCommand: EtlctlCommand {
    static let configuration = CommandConfiguration(
        commandName: "check",
        abstract: "Check configuration, credentials, reachability and the spool.",
        discussion: "Each finding says how to mend it. Exits with the code of the first error.")

    @OptionGroup var global: GlobalOptions

    @Flag(help: "Only what needs no network.")
    var offline = false

    func run(in session: CommandSession) async throws -> CommandOutcome {
        var findings = Findings()
        let configuration: Configuration
        do {
            configuration = try session.loadConfiguration()
            findings.ok("configuration", "\(configuration.displayName) is well formed")
        } catch {
            findings.add("configuration", error)
            return findings.outcome
        }
        let environment = CommandEnvironment(configuration, session)
        if offline, environment.isSpoolElsewhere {
            findings.ok("spool", "there is none on this disk; the copy that spool.remote keeps was not looked at")
        } else {
            if !offline { await checkRemote(environment, &findings) }
            await checkSpool(environment, &findings)
        }
        await checkCredentials(environment, &findings)
        if !offline {
            for stream in configuration.streams { await check(stream, environment, &findings) }
            await checkDestination(environment, &findings)
        }
        return findings.outcome
    }

    private func checkSpool(_ environment: CommandEnvironment, _ findings: inout Findings) async {
        do {
            let missingEnd = SpoolStore.missingEnd(of: environment.configuration.spool.path)
            let store = try await environment.openSpool()
            let finding = if let missingEnd { missingEnd } else { try await store.glance() }
            let entries = try await store.ledger()
            let unbalanced = entries.filter { !$0.isBalanced }
            if let finding {
                findings.add(
                    "spool",
                    Failure.spool(
                        "The spool \(store.path) is damaged: \(finding).",
                        hint: "etlctl spool verify says what is hurt; with --quarantine all other rows stay shippable.")
                )
            } else if !unbalanced.isEmpty {
                findings.add("spool", Failure.data("The ledger does not balance.", hint: "See `etlctl audit`."))
            } else {
                let name = environment.isSpoolElsewhere ? "the copy that spool.remote keeps" : store.path
                findings.ok("spool", "\(name) opens, and the ledger balances; etlctl audit checks every row")
            }
            let rejected = entries.reduce(0) { $0 + $1.rejected }
            if rejected > 0 {
                findings.warn(
                    "spool", "\(rejected) rows are rejected",
                    hint: "etlctl audit rows --state rejected shows why; etlctl retry or discard decides.")
            }
        } catch {
            findings.add("spool", error)
        }
    }

    private func checkRemote(_ environment: CommandEnvironment, _ findings: inout Findings) async {
        guard let place = environment.configuration.spool.remote else { return }
        let subject = "spool.remote"
        do {
            let found = try await RemoteSpool.check(try await environment.remoteStore(place))
            guard !found.ignoresConditions else {
                throw Failure.config(
                    "\(place.url) writes over what it is told not to: the store knows no conditional writes.",
                    hint: "Take a store that does (GCS, S3, Azure Blob Storage), or a newer version of this one.")
            }
            let copy = found.savedAt.map { "the copy was saved at \($0) by \(found.savedBy ?? "")" } ?? "no copy yet"
            findings.ok(subject, "\(place.url) can be read, written and deleted from; \(copy)")
            if let holder = found.holder {
                findings.warn(
                    subject, "\(holder) has the lock",
                    hint: "Commands that change the spool wait for it, unless it is this machine's.")
            }
        } catch {
            findings.add(subject, error)
        }
    }

    private func checkDestination(_ environment: CommandEnvironment, _ findings: inout Findings) async {
        do {
            let store = try await environment.openSpool()
            let work = ShipWork(environment: environment, store: store, only: nil)
            let streams = environment.configuration.streams
            let tables = zip(work.deliveries, streams).map { delivery, stream in
                (stream: delivery, table: environment.configuration.destination.fullName(of: stream.table))
            }
            let found = try await Ship.checkDestination(
                client: try await work.client(), configuration: work.configuration { _ in }, tables: tables,
                spool: store)
            for finding in found {
                switch finding.level {
                case .ok: findings.ok(finding.subject, finding.message)
                case .warning: findings.warn(finding.subject, finding.message, hint: finding.hint)
                case .error:
                    findings.add(
                        finding.subject,
                        ShipStop(finding.kind ?? .badRequest, finding.message, hint: finding.hint))
                }
            }
        } catch {
            findings.add("destination", error)
        }
    }

    private func checkCredentials(_ environment: CommandEnvironment, _ findings: inout Findings) async {
        let configuration = environment.configuration
        let named =
            [("destination", configuration.destination.credentials, true)]
            + configuration.sources.sorted { $0.key < $1.key }.map {
                ("sources.\($0.key)", $0.value.credentials, $0.value.isGoogle)
            }
        for (subject, file, isGoogle) in named {
            guard let file else { continue }
            do {
                try CredentialsFile.check(file)
                if isGoogle { try await environment.checkGoogleCredentials(file) }
                findings.ok(subject, "the credentials file can be read")
            } catch {
                findings.add(subject, error)
            }
        }
    }

    private func check(
        _ stream: StreamConfiguration, _ environment: CommandEnvironment, _ findings: inout Findings
    ) async {
        let subject = "streams.\(stream.name)"
        do {
            let source = try await environment.source(of: stream)
            let request = environment.request(for: stream)
            try source.validate(request)
            guard let firestore = source as? FirestoreSource else {
                guard let checkable = source as? any CheckableSource else { return }
                findings.ok(subject, try await checkable.check(request))
                return
            }
            for finding in try await firestore.findings(request) {
                switch finding.level {
                case .ok: findings.ok(subject, finding.message)
                case .warning: findings.warn(subject, finding.message, hint: finding.hint)
                }
            }
        } catch {
            findings.add(subject, environment.configuration.located(error, reading: stream))
        }
    }
}

/// What `check` found, in the order it looked.
struct Findings: Sendable {
    enum Level: String, Sendable {
        case ok
        case warning
        case error
    }

    private struct Finding {
        var level: Level
        var subject: String
        var message: String
        var hint: String?
        var failure: Failure?
    }

    private var findings: [Finding] = []

    mutating func ok(_ subject: String, _ message: String) {
        findings.append(Finding(level: .ok, subject: subject, message: message))
    }

    mutating func warn(_ subject: String, _ message: String, hint: String?) {
        findings.append(Finding(level: .warning, subject: subject, message: message, hint: hint))
    }

    mutating func add(_ subject: String, _ error: any Error) {
        let failure = Failure(describing: error)
        findings.append(
            Finding(level: .error, subject: subject, message: failure.message, hint: failure.hint, failure: failure))
    }

    var outcome: CommandOutcome {
        let failures = findings.compactMap(\.failure)
        return CommandOutcome(json: json(isOK: failures.isEmpty), text: text, failure: failures.first)
    }

    private func json(isOK: Bool) -> JSONValue {
        let items = findings.map { finding -> JSONValue in
            [
                "level": .string(finding.level.rawValue), "subject": .string(finding.subject),
                "message": .string(finding.message), "hint": .string(finding.hint),
            ]
        }
        return ["ok": .bool(isOK), "findings": .array(items)]
    }

    private var text: String {
        findings.map { finding in
            let line = "\(finding.level.rawValue.padded(to: 8)) \(finding.subject): \(Readable.plain(finding.message))"
            return line + (finding.hint.map { "\n         \(Readable.plain($0))" } ?? "")
        }.joined(separator: "\n")
    }
}

extension String {
    fileprivate func padded(to width: Int) -> String {
        self + String(repeating: " ", count: max(0, width - count))
    }
}
