import Foundation
import GRDBSQLite
import Synchronization

/// Everything that SQLite asks of the files in one folder, in order: to make it fail where a test wants, and to know what a power cut would
/// have left at any moment.
final class WatchedDisk: Sendable {
    enum Operation: Sendable {
        case write(String, offset: Int, [UInt8])
        case truncate(String, to: Int)
        case sync(String)
        case delete(String, isSynced: Bool)
        /// Not SQLite's: something the test saw reported as done.
        case mark(Int)
    }

    /// What the disk answers instead of doing as it is told.
    enum Fault: CaseIterable, Sendable {
        /// No room; of a write, the first half may still fit.
        case full
        /// A broken disk.
        case broken
    }

    private struct State {
        var operations: [Operation] = []
        var isRecording: Bool
        /// Operations that may fail, so far.
        var count = 0
        var failsFrom = Int.max
        var fault = Fault.full
        /// How many operations fail from there.
        var failures = Int.max
        var hasFailed = false
    }

    private static let disks = Mutex<[String: WatchedDisk]>([:])
    private let folder: String
    private let state: Mutex<State>

    /// Watches the folder from now on, for spools opened later.
    init(_ folder: String, isRecording: Bool = false) {
        _ = DiskShim.install
        self.folder = folder
        state = Mutex(State(isRecording: isRecording))
        Self.disks.withLock { $0[folder] = self }
    }

    func stopWatching() { Self.disks.withLock { $0[folder] = nil } }

    static func watching(_ path: String) -> WatchedDisk? {
        disks.withLock { disks in disks[(path as NSString).deletingLastPathComponent] }
    }

    // MARK: Failing

    /// From the n-th operation from now (1: the next), so many fail.
    func fail(at number: Int, _ fault: Fault, times: Int = .max) {
        state.withLock { state in
            state.failsFrom = state.count + number
            state.fault = fault
            state.failures = times
            state.hasFailed = false
        }
    }

    /// Nothing fails any more. True if something did since `fail`.
    func mend() -> Bool {
        state.withLock { state in
            state.failsFrom = .max
            return state.hasFailed
        }
    }

    /// Does the operation, or fails as told; `part` of a write's bytes are to be written.
    func perform(_ operation: Operation, _ body: (_ part: Int) -> Int32) -> Int32 {
        state.withLock { state in
            state.count += 1
            var operation = operation
            let fails = state.count >= state.failsFrom && state.count - state.failsFrom < state.failures
            guard fails else {
                let code = body(operation.bytes)
                if code == SQLITE_OK, state.isRecording { state.operations.append(operation) }
                return code
            }
            state.hasFailed = true
            if case .write(let name, let offset, let bytes) = operation {
                // Torn: some of it reached the disk all the same.
                operation = .write(name, offset: offset, Array(bytes.prefix(bytes.count / 2)))
                _ = body(operation.bytes)
                if state.isRecording { state.operations.append(operation) }
                return state.fault == .full ? SQLITE_FULL : SQLITE_IOERR | (3 << 8)
            }
            // A truncation needs no room, a sync may (delayed allocation).
            if case .truncate = operation, state.fault == .full { return body(0) }
            if case .delete = operation, state.fault == .full { return body(0) }
            return state.fault == .full ? SQLITE_FULL : SQLITE_IOERR | (4 << 8)
        }
    }

    func perform(_ operation: Operation, _ body: () -> Int32) -> Int32 { perform(operation) { _ in body() } }

    // MARK: Recording

    func mark(_ number: Int) { state.withLock { $0.operations.append(.mark(number)) } }

    var operations: [Operation] { state.withLock { $0.operations } }
}

extension WatchedDisk.Operation {
    fileprivate var bytes: Int {
        if case .write(_, _, let bytes) = self { bytes.count } else { 0 }
    }
}
