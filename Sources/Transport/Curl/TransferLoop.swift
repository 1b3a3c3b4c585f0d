import CCurl
import Glibc
import Synchronization

/// Runs every transfer of one client on one thread, by libcurl's multi interface.
// @unchecked Sendable: `multi` is used on the loop's thread, elsewhere only for curl_multi_wakeup, which libcurl
// documents as safe from any thread; `active` is touched on the loop's thread alone.
final class TransferLoop: @unchecked Sendable {
    private enum Command {
        case start(Transfer)
        case cancel(Transfer)
        case resume(Transfer)
    }

    private struct Inbox {
        var commands: [Command] = []
        var isStopping = false
    }

    /// Connections kept open: libcurl's own measure shrinks with the number of running transfers.
    private static let maximumConnections = 64

    private let settings: ClientSettings
    private let multi: UnsafeMutableRawPointer
    private let inbox = Mutex(Inbox())
    private var active: [ObjectIdentifier: Transfer] = [:]

    init?(settings: ClientSettings) {
        guard let multi = curl_multi_init() else { return nil }
        self.settings = settings
        self.multi = multi
        _ = etl_multi_set_long(multi, CURLMOPT_MAXCONNECTS, Self.maximumConnections)
    }

    deinit {
        curl_multi_cleanup(multi)
    }

    // MARK: From any thread

    func start(_ transfer: Transfer) { send(.start(transfer)) }

    /// Ends the transfer at once, with `cancelled`; no effect on one that is over.
    func cancel(_ transfer: Transfer) {
        transfer.isCancelled.store(true, ordering: .relaxed)
        send(.cancel(transfer))
    }

    /// Goes on with a transfer whose sink has asked to pause.
    func resume(_ transfer: Transfer) { send(.resume(transfer)) }

    func stop() {
        inbox.withLock { $0.isStopping = true }
        curl_multi_wakeup(multi)
    }

    private func send(_ command: Command) {
        let isFirst = inbox.withLock { inbox in
            inbox.commands.append(command)
            return inbox.commands.count == 1
        }
        // Of several commands the first has woken the loop already, and it takes them all.
        if isFirst { curl_multi_wakeup(multi) }
    }

    // MARK: On the loop's thread

    /// Returns after `stop`, with every transfer finished.
    func run() {
        while true {
            let (commands, isStopping) = inbox.withLock { inbox in
                defer { inbox.commands.removeAll(keepingCapacity: true) }
                return (inbox.commands, inbox.isStopping)
            }
            commands.forEach(perform)
            if isStopping { break }
            var running: Int32 = 0
            curl_multi_perform(multi, &running)
            finishCompleted()
            let wait = flushAndEnforceLimits()
            curl_multi_poll(multi, nil, 0, wait, nil)
        }
        for transfer in active.values { finish(transfer, with: .cancelled(transfer)) }
    }

    private func perform(_ command: Command) {
        switch command {
        case .start(let transfer):
            begin(transfer)
        case .cancel(let transfer):
            if active[ObjectIdentifier(transfer)] != nil { finish(transfer, with: .cancelled(transfer)) }
        case .resume(let transfer):
            guard transfer.isPaused, let handle = transfer.handle else { return }
            transfer.isPaused = false
            transfer.watch.restart(at: .now)
            // May call the write function, which may pause again.
            curl_easy_pause(handle.curl, CURLPAUSE_CONT)
        }
    }

    private func begin(_ transfer: Transfer) {
        guard !transfer.isCancelled.load(ordering: .relaxed) else {
            transfer.sink.finish(.cancelled(transfer))
            return
        }
        guard let handle = EasyHandle() else {
            transfer.sink.finish(.unprepared(transfer, code: CURLE_OUT_OF_MEMORY))
            return
        }
        let code = handle.prepare(for: transfer, settings: settings)
        guard code == CURLE_OK, curl_multi_add_handle(multi, handle.curl) == CURLM_OK else {
            transfer.sink.finish(.unprepared(transfer, code: code == CURLE_OK ? CURLE_FAILED_INIT : code))
            return
        }
        transfer.handle = handle
        active[ObjectIdentifier(transfer)] = transfer
    }

    private func finishCompleted() {
        var left: Int32 = 0
        while let message = curl_multi_info_read(multi, &left) {
            guard message.pointee.msg == CURLMSG_DONE, let easy = message.pointee.easy_handle,
                let context = etl_get_private(easy)
            else { continue }
            let code = etl_message_result(message)
            // `active` holds it; see EasyHandle.setCallbacks.
            let transfer = Unmanaged<Transfer>.fromOpaque(context).takeUnretainedValue()
            finish(transfer, with: HTTPError(transfer, code: code))
        }
    }

    private func finish(_ transfer: Transfer, with failure: HTTPError?) {
        active[ObjectIdentifier(transfer)] = nil
        if let handle = transfer.handle {
            transfer.handle = nil
            curl_multi_remove_handle(multi, handle.curl)
        }
        transfer.sink.finish(failure)
    }

    /// - Returns: milliseconds until a limit has to be looked at again.
    private func flushAndEnforceLimits() -> Int32 {
        let now = ContinuousClock.now
        var next = now + .seconds(3600)
        for transfer in active.values {
            transfer.reportBody()
            if transfer.needsFlush {
                transfer.needsFlush = false
                transfer.sink.flush()
            }
            let timeouts = transfer.request.timeouts
            if let total = timeouts.total {
                let end = transfer.submitted + total
                guard now < end else {
                    finish(transfer, with: .timedOut(.total, transfer))
                    continue
                }
                next = min(next, end)
            }
            guard transfer.isConnected, !transfer.isPaused else { continue }
            let look = transfer.watch.look(at: now, limit: timeouts.silence) { transfer.handle?.bytesMoved ?? 0 }
            guard let look else {
                finish(transfer, with: .timedOut(.silence, transfer))
                continue
            }
            next = min(next, look)
        }
        // Rounded up: waking just before the limit would spin.
        return Int32((next - now).milliseconds + 1)
    }
}
