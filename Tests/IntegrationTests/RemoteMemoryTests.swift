import Foundation
import JSONBytes
import Sandbox
import TestSupport
import Testing

@Suite struct RemoteMemoryTests {
    /// For debug builds, which have some 40 MB of program in memory.
    private static let bound = 64 << 20

    @Test func `a large spool is saved and restored in flat memory`() async throws {
        try await RemotePipeline.with("folder") { pipeline in
            // Text that packs badly: many parts.
            try pipeline.writeNoise(megabytes: 100)
            let extracted = try await pipeline.machine().run("extract")
            #expect(extracted.code == 0, "\(extracted.diagnostics)")
            let parts = try FileManager.default.contentsOfDirectory(atPath: pipeline.place.url)
            #expect(parts.filter { $0.hasPrefix("copy-") }.count > 10, "\(parts.count)")
            try pipeline.write(1)
            let saving = try await pipeline.machine().start(["extract"]).waitMeasuringMemory()
            #expect(saving.outcome.code == 0, "\(saving.outcome.diagnostics)")
            pipeline.loseDisk()
            let restoring = try await pipeline.machine().start(["watermark", "reset", "lines"]).waitMeasuringMemory()
            #expect(restoring.outcome.code == 0, "\(restoring.outcome.diagnostics)")
            print("remote memory: saving \(saving.peakMemory >> 20) MiB, restoring \(restoring.peakMemory >> 20) MiB")
            #expect(saving.peakMemory < Self.bound && restoring.peakMemory < Self.bound)
            #expect(try await pipeline.machine().run("audit").code == 0)
        }
    }
}

extension RemotePipeline {
    /// Lines of 1 KiB of hexadecimal digits.
    fileprivate func writeNoise(megabytes: Int) throws {
        var random = SeededRandom(seed: 7)
        try write(megabytes << 10) { _ in
            (0..<64).map { _ in
                let digits = String(random.next(), radix: 16)
                return String(repeating: "0", count: 16 - digits.count) + digits
            }.joined()
        }
    }
}
