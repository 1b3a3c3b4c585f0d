internal import JSONBytes
internal import Spool

/// Reads the elements of a streamed answer (`runQuery`, `batchGet`) as its bytes arrive, whatever the chunks' borders are.
///
/// Holds no more than one incomplete element. A chunk that ends inside a document costs a second look at that document; after each look
/// the buffer must double before the next, so the whole stays linear.
final class FirestoreAnswerReader {
    /// What one element says besides a document.
    enum Element {
        case document(FirestoreDocument)
        /// The name's place in the page.
        case missing(name: Range<Int>)
        /// A progress report, with the snapshot's time if it names one.
        case progress
        case error(JSONValue)
    }

    /// The snapshot's time, as the server wrote it.
    var readTime: String { readTimeText.string }
    private let readTimeText = ByteBuffer(capacity: 64)
    private let buffer = ByteBuffer(capacity: 1 << 20)
    private let page: PageBuilder
    private let normalizer: FirestoreNormalizer?
    private let subject: String
    /// Where the next element begins in the buffer.
    private var offset = 0
    /// Do not look again before the buffer has so many bytes.
    private var needed = 0
    private var state = State.start
    private let lastDocument = ByteBuffer(capacity: 256)
    private let currentDocument = ByteBuffer(capacity: 256)

    private enum State {
        case start
        case beforeElement
        case afterElement
        case end
    }

    /// - Parameters:
    ///   - page: takes names and fields of the documents.
    ///   - normalizer: reads the documents' fields; nil to skip them.
    ///   - subject: what is read, for messages.
    init(page: PageBuilder, normalizer: FirestoreNormalizer?, subject: String) {
        self.page = page
        self.normalizer = normalizer
        self.subject = subject
    }

    /// Takes a chunk in. Elements are then to be had from `next`.
    func append(_ chunk: [UInt8]) {
        buffer.removeFirst(offset)
        needed -= offset
        offset = 0
        buffer.append(chunk)
    }

    /// The next complete element, or nil until more bytes have arrived.
    ///
    /// - Throws: `ExtractError` of kind `.malformed` that names the document after which the answer is broken.
    func next() throws -> Element? {
        guard buffer.count >= needed else { return nil }
        var reader = JSONReader(buffer.base, count: buffer.count, at: offset)
        let mark = page.mark
        currentDocument.removeAll()
        do {
            let element = try readElement(&reader)
            offset = reader.at
            needed = 0
            if currentDocument.count > 0 {
                lastDocument.removeAll()
                lastDocument.append(currentDocument)
            }
            return element
        } catch let error as JSONSyntaxError {
            page.goBack(to: mark)
            guard error.kind == .endOfInput else {
                throw malformed("\(JSONSyntaxError(error.kind, at: error.offset - offset))")
            }
            needed = buffer.count + max(1, (buffer.count - offset) / 2)
            return nil
        } catch let error as FirestoreNormalizer.MalformedValue {
            throw malformed("\(error.reason)")
        }
    }

    /// The answer is over: hands out an element that was held back, then nil once the array is closed.
    ///
    /// - Throws: a transient error if the answer was cut off.
    func finish() throws -> Element? {
        needed = 0
        if state != .end, let element = try next() { return element }
        guard state == .end else {
            let last = lastDocument.count == 0 ? "its beginning" : "document \(lastDocument.string)"
            throw ExtractError(.unavailable, "the answer while reading \(subject) was cut off after \(last)")
        }
        // Every true answer names its time, also one without documents: an empty one must not look like an empty collection.
        guard readTimeText.count > 0 else {
            throw ExtractError(
                .unavailable, "the answer while reading \(subject) was empty: it did not even name its readTime")
        }
        return nil
    }

    /// Names the document at fault, or the one before it where its name is not known yet.
    private func malformed(_ reason: String) -> ExtractError {
        let place =
            if currentDocument.count > 0 {
                "document \(currentDocument.string) is malformed"
            } else if lastDocument.count > 0 {
                "the answer is malformed after document \(lastDocument.string)"
            } else {
                "the answer is malformed at its beginning"
            }
        return ExtractError(
            .malformed, "reading \(subject) failed: \(place): \(reason)",
            hint: "run the same command again; if it stays, report the document")
    }

    // MARK: Elements

    /// Nil at the end of what is there. Throws `endOfInput` inside an element; what was read up to there stays read.
    private func readElement(_ reader: inout JSONReader) throws -> Element? {
        while true {
            reader.skipWhitespace()
            offset = reader.at
            guard !reader.isAtEnd else { return nil }
            switch state {
            case .start:
                if try reader.peek() == UInt8(ascii: "{") {
                    // Some errors come as a bare object where an array belongs.
                    let object = try reader.readValue()
                    state = .end
                    if let error = object["error"] { return .error(error) }
                    throw FirestoreNormalizer.MalformedValue(reason: "an object stands for the array", offset: offset)
                }
                try reader.expect(UInt8(ascii: "["))
                let isEmpty = try reader.peek() == UInt8(ascii: "]")
                state = isEmpty ? .afterElement : .beforeElement
            case .beforeElement:
                let element = try readObject(&reader)
                state = .afterElement
                return element
            case .afterElement:
                state = try reader.hasNextItem() ? .beforeElement : .end
            case .end:
                throw JSONSyntaxError(.unexpectedByte, at: reader.at)
            }
        }
    }

    private func readObject(_ reader: inout JSONReader) throws -> Element {
        var element = Element.progress
        guard try reader.enterObject() else { return element }
        repeat {
            let key = try reader.readKey()
            if reader.matches(key, "document") || reader.matches(key, "found") {
                element = .document(try readDocument(&reader))
            } else if reader.matches(key, "missing") {
                element = .missing(name: try readName(&reader))
            } else if reader.matches(key, "readTime") {
                let text = try reader.readString()
                readTimeText.removeAll()
                if text.isPlain {
                    readTimeText.append(reader.raw(text))
                } else {
                    readTimeText.appendDecoded(reader.raw(text))
                }
            } else if reader.matches(key, "error") {
                element = .error(try reader.readValue(depth: 1))
            } else {
                try reader.skipValue(depth: 1)
            }
        } while try reader.hasNextMember()
        return element
    }

    private func readDocument(_ reader: inout JSONReader) throws -> FirestoreDocument {
        var document = FirestoreDocument()
        let firstSlot = page.slots.count
        guard try reader.enterObject() else {
            throw FirestoreNormalizer.MalformedValue(reason: "a document without name", offset: reader.at)
        }
        repeat {
            let key = try reader.readKey()
            if reader.matches(key, "name") {
                document.name = try readName(&reader)
                currentDocument.append(page.values.bytes(document.name))
            } else if reader.matches(key, "fields") {
                if let normalizer {
                    try normalizer.readFields(&reader)
                    document.watched = normalizer.watched
                } else {
                    try reader.skipValue(depth: 2)
                }
            } else if reader.matches(key, "createTime") {
                document.createdAt = try time(&reader)
            } else if reader.matches(key, "updateTime") {
                document.updatedAt = try time(&reader)
            } else {
                try reader.skipValue(depth: 2)
            }
        } while try reader.hasNextMember()
        document.slots = firstSlot..<page.slots.count
        guard !document.name.isEmpty else {
            throw FirestoreNormalizer.MalformedValue(reason: "a document without name", offset: reader.at)
        }
        return document
    }

    /// Keeps a document's full name in the page.
    private func readName(_ reader: inout JSONReader) throws -> Range<Int> {
        let name = try reader.readString()
        guard !name.isPlain else { return page.keep(reader.raw(name)) }
        let start = page.values.count
        page.values.appendDecoded(reader.raw(name))
        return start..<page.values.count
    }

    private func time(_ reader: inout JSONReader) throws -> Timestamp {
        let text = try reader.readString()
        guard let moment = Timestamp(rfc3339: reader.raw(text), maximumFractionDigits: 9) else {
            throw FirestoreNormalizer.MalformedValue(reason: "a time that can't be read", offset: text.start)
        }
        return moment
    }
}

/// A document of an answer; its fields are in the page already.
struct FirestoreDocument {
    /// The full name's place in the page; empty until it is known.
    var name = 0..<0
    var createdAt: Timestamp?
    var updatedAt: Timestamp?
    var slots = 0..<0
    var watched: FirestoreNormalizer.WatchedValue?
}
