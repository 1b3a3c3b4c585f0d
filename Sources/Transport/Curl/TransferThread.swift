import CCurl
import Glibc

/// Owns a loop and its thread: both end with the last reference.
final class TransferThread: Sendable {
    /// nil: the system gave no thread or no memory, and no transfer can run.
    let loop: TransferLoop?
    // pthread_t is a number here; written once in init.
    private let thread: pthread_t?

    /// libcurl wants this once per process, before anything else.
    private static let isCurlReady = curl_global_init(Int(CURL_GLOBAL_ALL)) == CURLE_OK

    init(settings: ClientSettings) {
        guard Self.isCurlReady, let loop = TransferLoop(settings: settings) else {
            loop = nil
            thread = nil
            return
        }
        var thread = pthread_t()
        // The thread's own reference, taken over by runTransferLoop.
        let context = Unmanaged.passRetained(loop)
        // Signals belong to the program's other threads: the new one inherits a full mask. It also keeps SIGPIPE of a
        // TLS write from ending the process.
        var everything = sigset_t()
        var before = sigset_t()
        sigfillset(&everything)
        pthread_sigmask(SIG_SETMASK, &everything, &before)
        let code = pthread_create(&thread, nil, runTransferLoop, context.toOpaque())
        pthread_sigmask(SIG_SETMASK, &before, nil)
        guard code == 0 else {
            context.release()
            self.loop = nil
            self.thread = nil
            return
        }
        self.loop = loop
        self.thread = thread
    }

    deinit {
        loop?.stop()
        guard let thread else { return }
        // The last reference can't be the loop's own thread in today's code; joining itself would hang it, so it is
        // asked for all the same.
        if pthread_equal(thread, pthread_self()) == 0 {
            pthread_join(thread, nil)
        } else {
            pthread_detach(thread)
        }
    }
}

private func runTransferLoop(_ context: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    guard let context else { return nil }
    etl_name_thread("etlctl-http")
    Unmanaged<TransferLoop>.fromOpaque(context).takeRetainedValue().run()
    return nil
}
