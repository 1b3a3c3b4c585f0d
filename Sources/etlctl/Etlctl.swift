import ArgumentParser
import Foundation

#if canImport(Glibc)
    import Glibc
#endif

@main
struct Etlctl: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "etlctl",
        abstract: "Moves operational data into BigQuery through a durable local spool.",
        subcommands: [
            Init.self, ExtractCommand.self, StatusCommand.self, AuditCommand.self, RetryCommand.self,
            DiscardCommand.self,
            WatermarkCommand.self, SandboxCommand.self, CheckCommand.self, ShipCommand.self, RunCommand.self,
            ResumeCommand.self, SchemaCommand.self, SpoolCommand.self, ServeCommand.self,
        ])

    static func main() async {
        keepHeapSmall()
        Foundation.exit(
            await CommandRunner.main(Self.self, arguments: Array(CommandLine.arguments.dropFirst()), in: .process()))
    }

    /// glibc raises the size from which it gives memory back to the system with every such block that is freed: what one large page took
    /// would stay with the process, and memory would not be flat. A fixed size turns that off (mallopt(3)).
    private static func keepHeapSmall() {
        // <malloc.h> is not in Swift's module of glibc, and another C library has no mallopt.
        guard let symbol = dlsym(nil, "mallopt") else { return }
        let mallopt = unsafeBitCast(symbol, to: (@convention(c) (CInt, CInt) -> CInt).self)
        let mmapThreshold: CInt = -3
        _ = mallopt(mmapThreshold, 256 << 10)
    }
}
