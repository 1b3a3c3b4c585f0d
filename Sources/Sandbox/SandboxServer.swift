internal import HTTPServer
internal import Synchronization

/// A stand-in for BigQuery on 127.0.0.1: what protocols describe of datasets, tables, streaming, queries and tokens, with faults on demand.
///
/// docs/sandbox.md says what it does and where it stops.
package final class SandboxServer: Sendable {
    private let engine: Engine
    private let listener = Mutex<HTTPListener?>(nil)
    /// The configured port, or the free one that was found: a second start listens where clients know it.
    private let wantedPort: Mutex<UInt16>

    /// Opens the data; nothing is listened on yet.
    ///
    /// - Throws: `SandboxError` if the data folder or a key file cannot be used.
    package init(_ configuration: SandboxConfiguration = SandboxConfiguration()) throws {
        engine = try Engine(configuration)
        wantedPort = Mutex(configuration.port)
    }

    /// Listens; after a stop, on the same port again. A call while it listens does nothing.
    ///
    /// - Throws: `SandboxError.cannotListen`.
    package func start() throws {
        try listener.withLock { listener in
            guard listener == nil else { return }
            let engine = engine
            engine.pause.reset()
            let uploads = HTTPListener.UploadPolicy(
                limit: { engine.uploadLimit }, wasCut: { engine.logCutUpload($0, $1, received: $2) })
            let started: HTTPListener
            do throws(ListenError) {
                started = try HTTPListener(port: wantedPort.withLock { $0 }, uploads: uploads) { engine.handle($0) }
            } catch {
                throw SandboxError.cannotListen(port: error.port, cause: error.cause)
            }
            engine.endpoint.withLock { $0 = "http://127.0.0.1:\(started.port)" }
            wantedPort.withLock { $0 = started.port }
            listener = started
        }
    }

    /// Stops listening, ends stalled replies and waits for the requests that run. The data stays readable through `state`.
    package func stop() {
        engine.pause.cancel()
        let running = listener.withLock { listener in
            defer { listener = nil }
            return listener
        }
        running?.stop()
    }

    deinit { stop() }

    /// The port that is listened on; 0 before `start`.
    package var port: UInt16 { listener.withLock { $0?.port ?? 0 } }

    /// `http://127.0.0.1:PORT`, in the place of `https://bigquery.googleapis.com`; empty before `start`.
    package var endpoint: String { engine.endpoint.withLock { $0 } }

    /// The inside, for tests in the same process.
    package var state: SandboxState { SandboxState(engine: engine) }
}
