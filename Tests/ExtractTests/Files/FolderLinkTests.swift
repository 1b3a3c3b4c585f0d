import Extract
import Foundation
import Spool
import TestSupport
import Testing

/// Symbolic links in folders that are read.
struct FolderLinkTests {
    @Test func `links into a folder they lie in are not followed, others are`() async throws {
        try await withFiles("**/*.jsonl") { files in
            let manager = FileManager.default
            try files.write("a.jsonl", #"{"id":"a"}"#)
            try files.write("x/b.jsonl", #"{"id":"b"}"#)
            try files.write("y/deep/c.jsonl", #"{"id":"c"}"#)
            func link(_ name: String, to path: String) throws {
                try manager.createSymbolicLink(atPath: files.folder + "/" + name, withDestinationPath: path)
            }
            try link("loop", to: files.folder)
            try link("y/deep/up", to: "../..")
            try link("y/self", to: ".")
            try link("d.jsonl", to: "a.jsonl")
            try link("x/other", to: "../y")
            #expect(
                try await files.store.list(prefix: "", after: nil).objects.map(\.name) == [
                    "a.jsonl", "d.jsonl", "x/b.jsonl", "x/other/deep/c.jsonl", "y/deep/c.jsonl",
                ])
            #expect(
                try await files.store.list(prefix: "y/de", after: nil).objects.map(\.name) == ["y/deep/c.jsonl"])
            // A link can be named, wherever it leads.
            #expect(
                try await files.store.list(prefix: "loop/x/b", after: nil).objects.map(\.name) == ["loop/x/b.jsonl"])
            #expect(try await files.complete().counters.rowsSpooled == 5)
        }
    }

    @Test func `links of two folders to each other end`() async throws {
        try await withFiles("**/*.jsonl") { files in
            try files.write("x/a.jsonl", #"{"id":"a"}"#)
            try files.write("y/b.jsonl", #"{"id":"b"}"#)
            for (name, other) in [("x/y", "../y"), ("y/x", "../x")] {
                try FileManager.default.createSymbolicLink(
                    atPath: files.folder + "/" + name, withDestinationPath: other)
            }
            #expect(
                try await files.store.list(prefix: "", after: nil).objects.map(\.name) == [
                    "x/a.jsonl", "x/y/b.jsonl", "y/b.jsonl", "y/x/a.jsonl",
                ])
        }
    }
}
