internal import Foundation

/// Why a port of 127.0.0.1 can't be listened on.
package struct ListenError: Error, Sendable, Equatable {
    package enum Kind: Sendable {
        /// Another process, or another listener, has it.
        case taken
        /// The system keeps it for others, such as ports below 1024.
        case denied
        case other
    }

    package var port: UInt16
    package var kind: Kind
    /// The system's words.
    package var cause: String

    /// - Parameter code: of `errno`.
    init(port: UInt16, code: Int32) {
        self.port = port
        kind =
            switch code {
            case EADDRINUSE: .taken
            case EACCES, EPERM: .denied
            default: .other
            }
        cause = String(cString: strerror(code))
    }
}
