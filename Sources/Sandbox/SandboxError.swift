/// Why the sandbox cannot start or cannot do what a test asks of it.
package enum SandboxError: Error, CustomStringConvertible, Equatable {
    case cannotListen(port: UInt16, cause: String)
    case cannotStore(path: String, cause: String)
    case faultSpec(spec: String, problem: String)
    case keyFile(problem: String)
    case unknownTable(String)

    package var description: String {
        switch self {
        case .cannotListen(let port, let cause):
            "cannot listen on 127.0.0.1:\(port): \(cause); choose another port, or 0 for a free one"
        case .cannotStore(let path, let cause):
            "cannot keep the sandbox's data in \(path): \(cause)"
        case .faultSpec(let spec, let problem):
            "cannot understand the fault '\(spec)': \(problem); docs/sandbox.md lists the faults"
        case .keyFile(let problem):
            "cannot use the service-account key: \(problem)"
        case .unknownTable(let name):
            "the sandbox has no table \(name)"
        }
    }
}
