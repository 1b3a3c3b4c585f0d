import Foundation
import JSONBytes

@testable import Extract
@testable import Spool

/// Takes answers of Firestore through reader, normaliser and page, without network and spool.
struct Normalized {
    static let root = "projects/p/databases/(default)/documents/"
    static let times = #""createTime":"2025-11-25T14:57:57.425Z","updateTime":"2025-11-25T14:57:57.425Z""#
    static let readTime = #""readTime":"2025-11-25T15:00:00Z""#

    var nestsAsJSON = false
    var renames: [String: String] = [:]
    var selection = FieldSelection(columns: nil, exclude: [])

    /// An answer with one document for each of these `fields` texts.
    static func answer(_ fields: [String]) -> String {
        let documents = fields.enumerated().map { index, fields in
            #"{"document":{"name":"\#(root)memos/m\#(index)","fields":\#(fields),\#(times)},\#(readTime)}"#
        }
        return "[" + documents.joined(separator: ",") + "]"
    }

    /// The payloads of the rows, whole.
    func payloads(_ answer: [UInt8], cutAt cuts: [Int] = []) throws -> [String] {
        let (page, batch) = try read(answer, cutAt: cuts)
        page.assemble(into: batch)
        return batch.entries.map { String(decoding: batch.storage[$0.payload], as: UTF8.self) }
    }

    /// The rows' fields alone, as JSON text behind the metadata.
    func fields(_ answer: String, cutAt cuts: [Int] = []) throws -> [String] {
        try payloads(Array(answer.utf8), cutAt: cuts).map(Self.fields)
    }

    static func fields(of payload: String) -> String {
        let mark = #""_insert_id":""#
        guard let start = payload.range(of: mark) else { return payload }
        // 22 characters and the closing quote, then a comma or the end.
        let rest = payload[start.upperBound...].dropFirst(23)
        return rest == "}" ? "{}" : "{" + rest.dropFirst()
    }

    /// The types of the first row's fields as its shape names them.
    func types(_ answer: String) throws -> [String] {
        let (page, batch) = try read(Array(answer.utf8))
        page.assemble(into: batch)
        let lines = batch.shapes.first?.split(separator: "\n") ?? []
        return lines.map { $0.split(separator: "\t", omittingEmptySubsequences: false) }.filter { $0[2].isEmpty }
            .map { "\($0[0]) \($0[1])" }
    }

    private func read(_ answer: [UInt8], cutAt cuts: [Int] = []) throws -> (PageBuilder, RowBatch) {
        let frame = RowFrame(runID: "run", renames: renames)
        let table = FieldTable(known: [], selection: selection, renames: renames, metadataNames: frame.allNames)
        let page = PageBuilder(
            fields: table, frame: frame,
            insertIDs: InsertIDMaker(table: "b2b-recs.raw_data.bq_memos", stream: "memos", generation: 0, runID: nil),
            lastExtractedAt: Timestamp(microseconds: 0), clock: { Timestamp(microseconds: 1_764_082_677_425_000) })
        let normalizer = FirestoreNormalizer(
            page: page, root: Self.root, nestsAsJSON: nestsAsJSON, watching: nil)
        let reader = FirestoreAnswerReader(page: page, normalizer: normalizer, subject: "Firestore memos")
        func take(_ element: FirestoreAnswerReader.Element) throws {
            if case .error(let error) = element {
                throw FirestoreFailure.error(error, status: 200, reading: "Firestore memos")
            }
            guard case .document(let document) = element else { return }
            let path = document.name.lowerBound + Self.root.utf8.count..<document.name.upperBound
            let slash = page.values.bytes(path).lastIndex(of: UInt8(ascii: "/")).map { $0 + 1 } ?? 0
            let start = page.values.count
            if let updatedAt = document.updatedAt { page.values.append(updatedAt) }
            page.add(
                PageBuilder.Record(
                    slots: document.slots, id: path.lowerBound + slash..<path.upperBound, path: path,
                    createdAt: document.createdAt, updatedAt: document.updatedAt, version: start..<page.values.count,
                    identity: path))
        }
        var begin = 0
        for end in cuts + [answer.count] {
            reader.append(Array(answer[begin..<end]))
            while let element = try reader.next() { try take(element) }
            begin = end
        }
        while let element = try reader.finish() { try take(element) }
        return (page, RowBatch())
    }
}
