internal import JSONBytes

/// Reads ranges of a table, each with a query of its own, on one connection or on several side by side, and makes rows of the page of them.
///
/// While rows are handled, the next ones are on their way. What came before an error that another attempt may cure is stored before the
/// error is passed on: the next attempt goes on behind it.
///
/// Not `Sendable`: ranges, page and taker belong to the run's task; only chunks of rows cross to the connections.
final class SQLPump {
    struct Work {
        /// The query for the rest of a range.
        var query: (SQLRange) -> String
        /// Adds one row to the page.
        var add: (SQLChunk, Int) throws -> Void
        /// Stores the page and where the ranges stand; the last time of this pump if the flag says so.
        var commit: ([SQLRange], Bool) async throws -> Void
    }

    /// One connection and the range that it reads.
    private final class Lane {
        let session: any SQLSession
        var range: Int?
        /// Rows at hand, how many of them have been handled, and memory for those that come next.
        var chunk: SQLChunk
        var handled = 0
        var next: SQLChunk
        var lastKey = SQLLastKey()

        init(_ session: any SQLSession, width: Int) {
            self.session = session
            chunk = SQLChunk(width: width)
            next = SQLChunk(width: width)
        }
    }

    private let reader: SQLReader
    private let lanes: [Lane]
    private let work: Work
    private var ranges: [SQLRange]
    /// Ranges before this one are begun or done.
    private var begun = 0
    private var run: RunContext { reader.run }

    init(_ reader: SQLReader, sessions: [any SQLSession], ranges: [SQLRange], _ work: Work) {
        self.reader = reader
        self.ranges = ranges
        self.work = work
        lanes = sessions.map { Lane($0, width: reader.width) }
    }

    /// Reads all ranges to their ends. Returns false if a budget ended it early.
    func pump() async throws -> Bool {
        do {
            let isWhole = try await withThrowingTaskGroup(of: Int.self) { group in
                for number in lanes.indices { begin(number, &group) }
                while let number = try await group.next() {
                    guard try await handle(number, &group) else {
                        group.cancelAll()
                        return false
                    }
                }
                return true
            }
            try await work.commit(standing, true)
            return isWhole
        } catch let error as ExtractError where error.isTransient {
            try await work.commit(standing, true)
            throw error
        }
    }

    /// The ranges as far as their rows are in the page or stored.
    private var standing: [SQLRange] {
        for lane in lanes { note(lane) }
        return ranges
    }

    private func note(_ lane: Lane) {
        guard reader.hasKey, let range = lane.range, lane.handled > 0 else { return }
        ranges[range].after = reader.keyValues(lane.chunk, lane.handled - 1)
    }

    /// Opens the next range on a lane.
    private func begin(_ number: Int, _ group: inout ThrowingTaskGroup<Int, any Error>) {
        while begun < ranges.count, ranges[begun].isDone { begun += 1 }
        guard begun < ranges.count else { return }
        let lane = lanes[number]
        lane.range = begun
        let (session, next, query, width) = (lane.session, lane.next, work.query(ranges[begun]), reader.width)
        begun += 1
        group.addTask {
            try await session.open(query, width: width)
            try await session.fetch(into: next)
            return number
        }
    }

    private func handle(_ number: Int, _ group: inout ThrowingTaskGroup<Int, any Error>) async throws -> Bool {
        let lane = lanes[number]
        note(lane)
        swap(&lane.chunk, &lane.next)
        lane.handled = 0
        let (session, next, chunk) = (lane.session, lane.next, lane.chunk)
        guard chunk.rows > 0 else {
            if let range = lane.range { ranges[range].isDone = true }
            begin(number, &group)
            return true
        }
        group.addTask {
            try await session.fetch(into: next)
            return number
        }
        reader.lastKey = lane.lastKey
        for row in 0..<chunk.rows {
            if run.isExhausted { return false }
            try work.add(chunk, row)
            lane.handled = row + 1
            if run.isPageFull {
                try await work.commit(standing, false)
                try Task.checkCancellation()
            }
        }
        return true
    }
}

/// The key of the row before, to find one that is there twice: rows of a range come in the order of their keys.
final class SQLLastKey {
    private let bytes = ByteBuffer(capacity: 64)
    private var isKnown = false

    /// False if it is the key of the row before.
    func isNew(_ key: UnsafeRawBufferPointer) -> Bool {
        if isKnown, key.elementsEqual(bytes.bytes) { return false }
        bytes.removeAll()
        bytes.append(key)
        isKnown = true
        return true
    }
}
