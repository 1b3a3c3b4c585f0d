import Extract
import Foundation
import Logging
import Remote
import Spool

/// The spool of a command, with the copy that `spool.remote` keeps of it.
extension CommandEnvironment {
    /// The end of a command after a signal may take so long for the copy, beside what the work itself takes.
    private static let saveAfterSignal: Duration = .seconds(4)

    /// Runs work that changes the spool. Where a copy is kept, it holds the store's lock meanwhile, restores what the disk has lost before, and
    /// saves after the work, however that ends.
    ///
    /// - Parameter sends: the work sends rows, and must end when the lock is in doubt.
    func withSpool(
        _ command: String, _ session: CommandSession, sends: Bool = false,
        _ work: @escaping @Sendable (SpoolStore, RemoteSpool?) async throws -> CommandOutcome
    ) async throws -> CommandOutcome {
        guard let place = configuration.spool.remote else {
            let store = try SpoolStore(path: configuration.spool.path)
            defer { try? store.close() }
            return try await work(store, nil)
        }
        let remote = try await RemoteSpool.open(
            try await remoteStore(place), remoteConfiguration(command, session))
        defer { try? remote.store.close() }
        let (result, loss) = await besideKeeping(remote, sends: sends) { try await work(remote.store, remote) }
        if let loss {
            // What is not ours any more is neither saved nor let go.
            return try Self.outcome(of: result, failing: Failure(describing: loss), isFirst: true)
        }
        let failure = await save(remote, isInterrupted: Self.isInterrupted(result))
        do { try await remote.leave() } catch {
            session.console.log.warning(
                "\(remote.url) was not let go: \(error); the lock is free after two minutes, for this spool at once")
        }
        guard let failure else { return try result.get() }
        if !Self.isFine(result) { session.console.log.warning("\(failure.message)") }
        return try Self.outcome(of: result, failing: failure, isFirst: false)
    }

    /// Saves while a command goes on; a failure is told and no more.
    static func save(_ remote: RemoteSpool?, _ session: CommandSession) async {
        do { try await remote?.save() } catch is CancellationError {
        } catch {
            session.console.log.warning(
                "rows wait until they are saved: \(Failure(describing: error).message)")
        }
    }

    private enum Ended: Sendable {
        case work(Result<CommandOutcome, any Error>)
        case keeping((any Error)?)
    }

    /// - Returns: how the work ended, and why the lock was lost, if it was.
    private func besideKeeping(
        _ remote: RemoteSpool, sends: Bool, _ work: @escaping @Sendable () async throws -> CommandOutcome
    ) async -> (Result<CommandOutcome, any Error>, (any Error)?) {
        await withTaskGroup(of: Ended.self) { group in
            group.addTask {
                do { return .work(.success(try await work())) } catch { return .work(.failure(error)) }
            }
            group.addTask {
                do { try await remote.keep(sends: sends) } catch { return .keeping(error) }
                return .keeping(nil)
            }
            var result: Result<CommandOutcome, any Error> = .failure(CancellationError())
            var loss: (any Error)?
            for await ended in group {
                switch ended {
                case .work(let ended): result = ended
                case .keeping(nil): continue
                case .keeping(let error): loss = error
                }
                group.cancelAll()
            }
            return (result, loss)
        }
    }

    /// - Returns: why the copy in the store is not what the spool holds.
    private func save(_ remote: RemoteSpool, isInterrupted: Bool) async -> Failure? {
        let safe = "Everything is safe in \(configuration.spool.path); it is not yet in \(remote.url)"
        let hint = "Run the same command again as long as this disk lasts."
        let interruption = Interruption()
        do {
            try await interruption.run {
                try await withThrowingTaskGroup(of: Void.self) { group in
                    group.addTask { try await remote.save() }
                    if isInterrupted {
                        group.addTask {
                            try await Task.sleep(for: Self.saveAfterSignal)
                            throw CancellationError()
                        }
                    }
                    try await group.next()
                    group.cancelAll()
                }
            }
            return nil
        } catch is CancellationError {
            return .interrupted(
                signal: interruption.signal ?? 2, "\(safe): there was no time to save it after the signal.", hint: hint)
        } catch {
            let failure = Failure(describing: error)
            guard failure.status == .tryAgainLater, !(error is SpoolError) else { return failure }
            if case RemoteError.lost = error { return failure }
            return .destinationUnavailable("\(safe): \(failure.message)", hint: hint)
        }
    }

    private static func isFine(_ result: Result<CommandOutcome, any Error>) -> Bool {
        guard case .success(let outcome) = result else { return false }
        return outcome.failure == nil
    }

    private static func isInterrupted(_ result: Result<CommandOutcome, any Error>) -> Bool {
        switch result {
        case .success(let outcome): outcome.failure?.code == .interrupted
        case .failure(let error): error is CancellationError
        }
    }

    /// What a command ends with whose copy was not saved, or lost.
    private static func outcome(
        of result: Result<CommandOutcome, any Error>, failing failure: Failure, isFirst: Bool
    ) throws -> CommandOutcome {
        switch result {
        case .success(var outcome):
            outcome.failure = isFirst ? failure : outcome.failure ?? failure
            return outcome
        case .failure(let error):
            throw isFirst ? failure : error
        }
    }

    func remoteConfiguration(_ command: String, _ session: CommandSession) -> RemoteSpool.Configuration {
        let log = session.console.log
        let place = configuration.spool.remote?.url ?? ""
        let path = configuration.spool.path
        var options = RemoteSpool.Configuration(
            path: path, holder: holder(command), host: ProcessInfo.processInfo.hostName)
        options.retries.sleep = context.sleep
        options.note = { note in
            switch note {
            case .restored(let bytes, let savedAt, let savedBy):
                log.info(
                    "restored \(path) (\(Readable.bytes(bytes))) from \(place), saved at \(savedAt) by \(savedBy); its pending rows are in doubt"
                )
            case .doubted:
                log.warning("a copy of \(path) was used by another machine: its pending rows are in doubt")
            case .saved(let bytes): log.info("saved the spool in \(place) (\(Readable.bytes(bytes)) packed)")
            case .saveFailed(let error):
                log.warning("the spool was not saved, rows wait until it is: \(Failure(describing: error).message)")
            }
        }
        #if DEBUG
            // Tests don't wait two minutes for a lock.
            if let seconds = context.environment["ETLCTL_REMOTE_LEASE"].flatMap(Int.init) {
                options.lease = .seconds(seconds)
                options.saveInterval = .seconds(seconds) / 2
            }
        #endif
        return options
    }

    // MARK: Reading

    /// There is no spool on this disk, but there may be a copy of it.
    var isSpoolElsewhere: Bool {
        configuration.spool.remote != nil && !SpoolStore.exists(at: configuration.spool.path)
    }

    /// The spool for a command that only reads it. Where the disk has none, but a copy is kept, that copy, downloaded for this one command.
    func openSpool() async throws -> SpoolStore {
        guard let place = configuration.spool.remote, isSpoolElsewhere else {
            return try SpoolStore(path: configuration.spool.path)
        }
        let path = "\(try scratch.make())/\(UUID().uuidString).sqlite"
        return try await RemoteSpool.view(try await remoteStore(place), at: path)
    }
}

/// A folder for one command, removed with the last reference to it.
final class ScratchFolder: Sendable {
    private let path = FileManager.default.temporaryDirectory.path + "/etlctl-\(UUID().uuidString)"

    func make() throws -> String {
        try FileManager.default.createDirectory(
            atPath: path, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        return path
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }
}
