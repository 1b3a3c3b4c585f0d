import Foundation
import GRDB
import TestSupport
import Testing

@testable import Spool

@Suite struct OpeningTests {
    private func mode(of path: String) throws -> Int {
        let attributes = try FileManager.default.attributesOfItem(atPath: path)
        return (attributes[.posixPermissions] as? NSNumber)?.intValue ?? -1
    }

    @Test func `a new spool is readable by its owner alone, with its side files and its folder`() async throws {
        try await withTemporaryFolder { folder in
            let path = folder + "/var/deep/spool.sqlite"
            let spool = try SpoolStore(path: path)
            try await spool.spool(0..<3)
            for file in [path, path + "-wal", path + "-shm"] { #expect(try mode(of: file) == 0o600, "\(file)") }
            #expect(try mode(of: folder + "/var/deep") == 0o700)
            try spool.close()
        }
    }

    @Test func `commits are synchronous in WAL on the connection that writes`() async throws {
        try await withTemporarySpool { spool in
            let pragmas = try await spool.writeWithoutTransaction { database in
                try ["journal_mode", "synchronous"].map { try String.fetchOne(database, sql: "PRAGMA \($0)") ?? "" }
            }
            // 2 is FULL (SQLite's documentation of PRAGMA synchronous).
            #expect(pragmas == ["wal", "2"])
        }
    }

    @Test func `a spool that is opened again holds what it held`() async throws {
        try await withTemporaryFolder { folder in
            let path = folder + "/spool.sqlite"
            let spool = try SpoolStore(path: path)
            try await spool.spool(0..<10)
            try spool.close()
            let again = try SpoolStore(path: path, creating: false)
            #expect(try await again.ledger().map(\.spooled) == [10])
            #expect(try await again.records().map(\.insertID) == (0..<10).map { TestRow($0).insertID })
            try again.close()
        }
    }

    @Test func `a spool of a newer version is refused and stays as it is`() async throws {
        try await withTemporaryFolder { folder in
            let path = folder + "/spool.sqlite"
            let spool = try SpoolStore(path: path)
            try await spool.writeWithoutTransaction {
                try $0.execute(sql: "PRAGMA user_version = \(SpoolStore.schemaVersion + 1)")
            }
            try spool.close()
            let before = try Data(contentsOf: URL(fileURLWithPath: path))
            #expect {
                _ = try SpoolStore(path: path)
            } throws: {
                guard case SpoolError.newer(path, SpoolStore.schemaVersion + 1, SpoolStore.schemaVersion) = $0 else {
                    return false
                }
                return true
            }
            #expect(try Data(contentsOf: URL(fileURLWithPath: path)) == before)
        }
    }

    @Test(arguments: [0, -5])
    func `a spool whose header lost its version is damaged, not made again, and can be mended`(version: Int)
        async throws
    {
        try await withTemporaryFolder { folder in
            let path = folder + "/spool.sqlite"
            let spool = try SpoolStore(path: path)
            try await spool.spool(0..<10)
            try await spool.writeWithoutTransaction { try $0.execute(sql: "PRAGMA user_version = \(version)") }
            try spool.close()
            for open in [{ try SpoolStore(path: path) }, { try SpoolStore.reading(path) }] as [() throws -> SpoolStore?]
            {
                #expect {
                    _ = try open()
                } throws: {
                    guard case SpoolError.damaged(path, SpoolStore.lostVersion) = $0 else { return false }
                    return true
                }
            }
            let check: PayloadCheck = { _, _ in true }
            #expect(try await SpoolStore.verify(path: path, payloadMatches: check).file == [SpoolStore.lostVersion])
            let mended = try await SpoolStore.quarantine(path: path, holder: "test", payloadMatches: check)
            #expect(mended.keptAs != nil && mended.rejected == 0)
            let again = try SpoolStore(path: path, creating: false)
            #expect(try await again.ledger().map(\.pending) == [10])
            try await expectSoundBooks(again, try await again.route(1))
            try again.close()
        }
    }

    @Test func `a spool that can't be reached is not said to be missing`() async throws {
        try await withTemporaryFolder { folder in
            try Data().write(to: URL(fileURLWithPath: folder + "/file"))
            for (path, reason) in [
                ("/file/spool.sqlite", "not a directory"), ("/none", "there is no such file"),
            ] {
                await #expect {
                    _ = try await SpoolStore.verify(path: folder + path, payloadMatches: { _, _ in true })
                } throws: {
                    guard case SpoolError.unusable(_, reason) = $0 else { return false }
                    return true
                }
            }
        }
    }

    @Test(arguments: [0, 1, 7])
    func `a database of another program is refused and stays as it is`(version: Int) async throws {
        try await withTemporaryFolder { folder in
            let path = folder + "/theirs.sqlite"
            let theirs = try DatabaseQueue(path: path)
            try await theirs.writeWithoutTransaction {
                try $0.execute(sql: "CREATE TABLE contacts (name TEXT); PRAGMA user_version = \(version)")
            }
            try theirs.close()
            let before = try Data(contentsOf: URL(fileURLWithPath: path))
            #expect {
                _ = try SpoolStore(path: path)
            } throws: {
                guard case SpoolError.damaged(path, "it is a database of another program") = $0 else { return false }
                return true
            }
            #expect(try Data(contentsOf: URL(fileURLWithPath: path)) == before)
        }
    }

    @Test(arguments: [5, 5000])
    func `a file that is no database is refused and stays as it is`(length: Int) async throws {
        try await withTemporaryFolder { folder in
            let path = folder + "/notes.txt"
            let text = String(repeating: "x", count: length)
            try text.write(toFile: path, atomically: true, encoding: .utf8)
            #expect {
                _ = try SpoolStore(path: path)
            } throws: {
                guard case SpoolError.damaged(path, _) = $0 else { return false }
                return true
            }
            #expect(try String(contentsOfFile: path, encoding: .utf8) == text)
        }
    }

    @Test func `an empty file becomes a spool`() async throws {
        try await withTemporaryFolder { folder in
            let path = folder + "/spool.sqlite"
            #expect(FileManager.default.createFile(atPath: path, contents: nil))
            let spool = try SpoolStore(path: path)
            try await spool.spool(0..<1)
            #expect(try await spool.ledger().map(\.pending) == [1])
            try spool.close()
        }
    }

    @Test func `opened for reading, a spool shows what is there and nothing of it changes`() async throws {
        try await withTemporaryFolder { folder in
            let path = folder + "/spool.sqlite"
            #expect(try SpoolStore.reading(path) == nil && access(path, F_OK) != 0)
            #expect(FileManager.default.createFile(atPath: path, contents: nil))
            #expect(try SpoolStore.reading(path) == nil, "an empty file is one that is being made")
            let spool = try SpoolStore(path: path)
            try await spool.spool(0..<3)
            // The log holds rows, and a transaction is open that never ends.
            try await spool.writeWithoutTransaction { database in
                try database.execute(sql: "BEGIN IMMEDIATE; UPDATE routes SET spooled = 99")
                let files = [path, path + "-wal"].map { URL(fileURLWithPath: $0) }
                let before = try files.map { try Data(contentsOf: $0) }
                #expect(before[1].count > 0)
                let reader = try #require(try SpoolStore.reading(path))
                let spooled = try reader.pool.read { try Int.fetchOne($0, sql: "SELECT spooled FROM routes") }
                #expect(spooled == 3)
                #expect(throws: (any Error).self) {
                    try reader.pool.writeWithoutTransaction { try $0.execute(sql: "DELETE FROM row_data") }
                }
                try reader.close()
                #expect(try files.map { try Data(contentsOf: $0) } == before)
                try database.execute(sql: "ROLLBACK")
            }
            #expect(try await spool.openRequests().isEmpty)
            let route = try #require(try await spool.routes().first)
            _ = try await spool.beginAll(of: route, size: 2)
            try spool.close()
            unlink(path + "-reserve")
            let last = try #require(try SpoolStore.reading(path))
            #expect(try await last.ledger().map(\.sending) == [3])
            #expect(try await last.openRequests() == [route.number: [.sending: 2]])
            try last.close()
            #expect(access(path + "-reserve", F_OK) != 0)
        }
    }

    @Test func `opened for reading, a newer spool and other files are refused`() async throws {
        try await withTemporaryFolder { folder in
            let path = folder + "/spool.sqlite"
            let spool = try SpoolStore(path: path)
            try await spool.writeWithoutTransaction { try $0.execute(sql: "PRAGMA user_version = 9") }
            try spool.close()
            #expect {
                _ = try SpoolStore.reading(path)
            } throws: {
                guard case SpoolError.newer(path, 9, SpoolStore.schemaVersion) = $0 else { return false }
                return true
            }
            let notes = folder + "/notes.txt"
            try String(repeating: "x", count: 5000).write(toFile: notes, atomically: true, encoding: .utf8)
            #expect {
                _ = try SpoolStore.reading(notes)
            } throws: {
                guard case SpoolError.damaged(notes, _) = $0 else { return false }
                return true
            }
        }
    }

    @Test func `a folder that can't be written is an error that names the file`() async throws {
        try await withTemporaryFolder { folder in
            let closed = folder + "/closed"
            try FileManager.default.createDirectory(
                atPath: closed, withIntermediateDirectories: false, attributes: [.posixPermissions: 0o555])
            // For root every folder can be written but those of the kernel.
            let places = (geteuid() == 0 ? ["/proc"] : [closed]) + ["/dev/null"]
            for place in places {
                let path = place + "/spool.sqlite"
                #expect {
                    _ = try SpoolStore(path: path)
                } throws: {
                    guard case SpoolError.unusable(path, _) = $0 else { return false }
                    return true
                }
            }
        }
    }

    @Test func `a spool that is missing is not made by who only reads`() async throws {
        try await withTemporaryFolder { folder in
            let path = folder + "/spool.sqlite"
            #expect {
                _ = try SpoolStore(path: path, creating: false)
            } throws: {
                guard case SpoolError.unusable(path, _) = $0 else { return false }
                return true
            }
            #expect(!FileManager.default.fileExists(atPath: path))
        }
    }

    @Test func `many who open a new spool at once all find it whole`() async throws {
        try await withTemporaryFolder { folder in
            let path = folder + "/spool.sqlite"
            try await withThrowingTaskGroup(of: Int64.self) { group in
                for number in 0..<6 {
                    group.addTask {
                        let spool = try SpoolStore(path: path)
                        let route = try await spool.spool(0..<5, to: .memos("stream\(number)"))
                        try spool.close()
                        return route.number
                    }
                }
                let routes = try await group.reduce(into: Set<Int64>()) { $0.insert($1) }
                #expect(routes == [1, 2, 3, 4, 5, 6])
            }
        }
    }

    @Test func `what a cancelled task still writes down is written`() async throws {
        try await withTemporarySpool { spool in
            let route = try await spool.spool(0..<5)
            let requests = try await spool.beginAll(of: route)
            let task = Task {
                // Goes on when the task is cancelled, as a shutdown does.
                while !Task.isCancelled { await Task.yield() }
                try await spool.settle(requests.map { Settlement($0, rest: .delivered) })
                return try await spool.ledger()
            }
            task.cancel()
            #expect(try await task.value.map(\.delivered) == [5])
        }
    }
}
