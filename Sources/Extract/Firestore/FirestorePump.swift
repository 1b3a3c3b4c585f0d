internal import JSONBytes
internal import Transport

/// Asks queries one after the other, on several lanes side by side, and hands every document to one taker.
///
/// While a page is stored the server already works on the next answers. What came before an error is stored before the error is passed on,
/// so that a broken answer is taken up after its last good document.
///
/// Not `Sendable`: lanes, page and taker belong to the run's task; only requests and chunks of bytes cross to others.
final class FirestorePump {
    struct Work {
        /// The query for the rest of a lane, without its limit.
        var query: (FirestoreLane) -> FirestoreQuery
        /// Takes a document that belongs to the stream; the range is its path in the page.
        var take: (FirestoreDocument, Range<Int>) throws -> Void
        /// Passes a document over that is of another collection than the pattern's.
        var passOver: (FirestoreDocument) -> Void = { _ in }
        /// True when what was taken should be stored.
        var isFull: () -> Bool
        /// Stores what was taken and where the lanes stand.
        var commit: (_ lanes: [FirestoreLane]) async throws -> Void
    }

    private enum Event: Sendable {
        case response(lane: Int, HTTPStreamedResponse)
        case chunk(lane: Int, [UInt8]?)
        case cut(lane: Int, FirestoreNames.Cut)
    }

    /// The last ones come from cutting others.
    private(set) var lanes: [FirestoreLane]
    private let reader: FirestoreReader
    private let readTime: String
    private let work: Work
    private let withFields: Bool
    private let mostPerQuery: Int
    private let lanesAtOnce: Int
    private let cutsLanes: Bool
    private var active = 0
    private var isStoring = false
    private var documentsSeen = 0
    private var bytesSeen = 0
    private var run: RunContext { reader.run }

    /// - Parameters:
    ///   - lanesAtOnce: how many of the lanes are read side by side, as long as the source bears it.
    ///   - cutsLanes: a reader without work takes a part of what another one has still to read.
    ///   - withFields: false for queries that bring names and times only.
    init(
        _ reader: FirestoreReader, lanes: [FirestoreLane], lanesAtOnce: Int = 1, cutsLanes: Bool = false,
        readTime: String, withFields: Bool = true, mostPerQuery: Int, _ work: Work
    ) {
        self.reader = reader
        self.lanes = lanes
        self.lanesAtOnce = lanesAtOnce
        self.cutsLanes = cutsLanes
        self.readTime = readTime
        self.withFields = withFields
        self.mostPerQuery = mostPerQuery
        self.work = work
    }

    /// Reads all lanes to their ends. Returns false if a budget ended it early.
    func pump() async throws -> Bool {
        do {
            try await withThrowingTaskGroup(of: Event.self) { group in
                startLanes(&group)
                while let event = try await group.next() { try await handle(event, &group) }
            }
        } catch {
            let failure = ExtractError.translating(error, reading: reader.subject)
            if (failure as? ExtractError)?.isOverload == true { run.pace.slowDown(from: active) }
            // Not after a cancellation, nor when storing is what failed.
            if failure is ExtractError, !isStoring { try await commit() }
            throw failure
        }
        try await commit()
        return lanes.allSatisfy(\.isDone)
    }

    private func commit() async throws {
        isStoring = true
        try await work.commit(lanes)
        isStoring = false
    }

    // MARK: Lanes

    private var readersAtOnce: Int { min(lanesAtOnce, run.pace.readers) }

    private func startLanes(_ group: inout ThrowingTaskGroup<Event, any Error>) {
        for (number, lane) in lanes.enumerated() where !lane.isDone && !lane.isActive {
            guard active < readersAtOnce, ask(number, &group) else { return }
            lane.isActive = true
            active += 1
        }
    }

    /// Asks a lane's next query; false when the budget is used up.
    private func ask(_ number: Int, _ group: inout ThrowingTaskGroup<Event, any Error>) -> Bool {
        let lane = lanes[number]
        lane.wanted = 0
        lane.received = 0
        guard let wanted = limit() else { return false }
        lane.wanted = wanted
        var query = work.query(lane)
        query.limit = wanted
        let (client, readTime) = (reader.client, readTime)
        group.addTask { [query] in .response(lane: number, try await client.runQuery(query, readTime: readTime)) }
        return true
    }

    /// Documents the next query may bring; nil when the budget is used up.
    private func limit() -> Int? {
        var limit = mostPerQuery
        if withFields {
            // Some 32 MiB an answer: a server has a deadline, and small documents are the rule. Pages are stored while the answer goes on.
            let average = documentsSeen == 0 ? 0 : bytesSeen / documentsSeen
            limit = min(limit, documentsSeen == 0 ? Self.firstQuery : max(16, (32 << 20) / max(average, 1)))
            // A lane is cut between two answers.
            if cutsLanes { limit = min(limit, Self.mostWhileCutting) }
        }
        guard let remaining = run.remainingRecords else { return limit }
        let promised = lanes.reduce(0) { $0 + max(0, $1.wanted - $1.received) }
        return remaining > promised ? min(limit, remaining - promised) : nil
    }

    /// The first query is small, for how large the documents are is not known yet.
    private static let firstQuery = 400
    /// A lane that others may take a part of asks for less: they wait for the answer's end.
    private static let mostWhileCutting = 2000

    // MARK: Answers

    private func handle(_ event: Event, _ group: inout ThrowingTaskGroup<Event, any Error>) async throws {
        switch event {
        case .response(let number, let response):
            let lane = lanes[number]
            lane.answer = FirestoreAnswerReader(
                page: run.page, normalizer: withFields ? reader.normalizer : nil, subject: reader.subject)
            lane.body = response.body
            awaitChunk(number, response.body, &group)
        case .chunk(let number, let chunk?):
            let lane = lanes[number]
            guard let answer = lane.answer, let body = lane.body else { return }
            bytesSeen += chunk.count
            answer.append(chunk)
            while let element = try answer.next() { try await take(element, lane) }
            awaitChunk(number, body, &group)
        case .chunk(let number, nil):
            let lane = lanes[number]
            while let element = try lane.answer?.finish() { try await take(element, lane) }
            try await endAnswer(number, &group)
        case .cut(let number, let cut):
            run.countReads(cut.reads)
            if cut.metOverload { run.pace.slowDown(from: active) }
            let lane = lanes[number]
            lane.isSearched = false
            if lane.isActive { lane.cut = cut.path }
            findWork(&group)
        }
    }

    private func awaitChunk(
        _ number: Int, _ body: HTTPStream, _ group: inout ThrowingTaskGroup<Event, any Error>
    ) {
        group.addTask {
            var chunks = body.makeAsyncIterator()
            return .chunk(lane: number, try await chunks.next())
        }
    }

    private func take(_ element: FirestoreAnswerReader.Element, _ lane: FirestoreLane) async throws {
        switch element {
        case .progress, .missing: break
        case .error(let error): throw FirestoreFailure.error(error, status: 200, reading: reader.subject)
        case .document(let document):
            let path = try reader.path(of: document.name)
            run.countReads(1)
            documentsSeen += 1
            lane.received += 1
            lane.documents += 1
            if reader.belongs(path) { try work.take(document, path) } else { work.passOver(document) }
            lane.passed(run.page.values.bytes(path))
            if work.isFull(), lane.received < lane.wanted { try await commit() }
        }
    }

    private func endAnswer(_ number: Int, _ group: inout ThrowingTaskGroup<Event, any Error>) async throws {
        let lane = lanes[number]
        // A query without results bills one read.
        if lane.received == 0 { run.countReads(1) }
        lane.isDone = lane.received < lane.wanted
        lane.mayBeCut = !lane.isDone
        lane.wanted = 0
        lane.answer = nil
        lane.body = nil
        run.pace.answerCame()
        // Between two answers, so that no document comes to both.
        if !lane.isDone, let cut = lane.cut, let rest = lane.handOver(at: cut) { lanes.append(rest) }
        lane.cut = nil
        if lane.isDone || !ask(number, &group) {
            lane.isActive = false
            active -= 1
        }
        findWork(&group)
        if work.isFull() { try await commit() }
    }

    // MARK: Work for readers that have none

    /// Starts lanes that wait; where none does, looks for places to cut those that have brought most.
    private func findWork(_ group: inout ThrowingTaskGroup<Event, any Error>) {
        startLanes(&group)
        guard cutsLanes else { return }
        let promised = lanes.count { $0.isSearched || $0.cut != nil }
        let idle = readersAtOnce - active - promised
        guard idle > 0 else { return }
        let candidates = lanes.enumerated().filter { _, lane in
            lane.isActive && lane.mayBeCut && !lane.isSearched && lane.cut == nil
        }.sorted { $0.element.documents > $1.element.documents }
        let names = FirestoreNames(client: reader.client, collection: reader.collection, readTime: readTime)
        for (number, lane) in candidates.prefix(idle) {
            guard let after = lane.after else { continue }
            lane.mayBeCut = false
            lane.isSearched = true
            let end = lane.range.end
            group.addTask { .cut(lane: number, try await names.cut(after: after, before: end)) }
        }
    }
}
