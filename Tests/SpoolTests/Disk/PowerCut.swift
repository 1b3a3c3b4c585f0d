import Foundation

/// What is on a disk after a power cut: all that was synced, and of the rest whatever a drive with a cache may have written, sector by sector
/// and in any order.
struct PowerCut {
    /// How much of what was not synced reached the disk.
    enum Rest: CaseIterable {
        case nothing
        case everything
        case some
        /// Some sectors, and others with rubbish in them.
        case torn
    }

    private static let sector = 512

    private struct File {
        var synced: [UInt8]?
        var pending: [WatchedDisk.Operation] = []
    }

    /// The number of the last mark before the cut, -1 if there was none.
    private(set) var lastMark = -1
    private var files: [String: File] = [:]

    /// - Parameter operations: those before the cut.
    init(after operations: ArraySlice<WatchedDisk.Operation>) {
        for operation in operations {
            switch operation {
            case .mark(let number): lastMark = number
            case .write(let name, _, _), .truncate(let name, _): files[name, default: File()].pending.append(operation)
            case .sync(let name):
                var file = files[name] ?? File()
                // SQLite syncs the folder with the first sync of a new journal or log: removals before it have happened.
                if file.synced == nil { removeForGood() }
                for pending in file.pending { Self.apply(pending, to: &file.synced) }
                if file.synced == nil { file.synced = [] }
                file.pending = []
                files[name] = file
            case .delete(let name, let isSynced):
                if isSynced { files[name] = nil } else { files[name, default: File()].pending.append(operation) }
            }
        }
    }

    private mutating func removeForGood() {
        for (name, file) in files {
            let last = file.pending.lastIndex { if case .delete = $0 { true } else { false } }
            if let last { files[name] = File(synced: nil, pending: Array(file.pending[(last + 1)...])) }
        }
    }

    /// Writes the files as the disk holds them into another folder.
    func restore(to folder: String, _ rest: Rest, _ random: inout SeededGenerator) throws {
        for (name, file) in files.sorted(by: { $0.key < $1.key }) {
            var bytes = file.synced
            for operation in file.pending {
                switch rest {
                case .nothing: break
                case .everything: Self.apply(operation, to: &bytes)
                case .some, .torn: Self.applyPart(of: operation, to: &bytes, withRubbish: rest == .torn, &random)
                }
            }
            guard let bytes else { continue }
            try Data(bytes).write(to: URL(fileURLWithPath: folder + "/" + (name as NSString).lastPathComponent))
        }
    }

    private static func apply(_ operation: WatchedDisk.Operation, to bytes: inout [UInt8]?) {
        switch operation {
        case .write(_, let offset, let data):
            var all = bytes ?? []
            if all.count < offset + data.count {
                all.append(contentsOf: repeatElement(0, count: offset + data.count - all.count))
            }
            all.replaceSubrange(offset..<offset + data.count, with: data)
            bytes = all
        case .truncate(_, let size):
            guard let all = bytes, all.count > size else { return }
            bytes = Array(all.prefix(size))
        case .delete: bytes = nil
        case .sync, .mark: break
        }
    }

    private static func applyPart(
        of operation: WatchedDisk.Operation, to bytes: inout [UInt8]?, withRubbish: Bool,
        _ random: inout SeededGenerator
    ) {
        guard case .write(let name, let offset, let data) = operation else {
            if random.isOnce(of: 2) { apply(operation, to: &bytes) }
            return
        }
        var start = offset
        while start < offset + data.count {
            let end = min((start / sector + 1) * sector, offset + data.count)
            let part = Array(data[start - offset..<end - offset])
            if random.isOnce(of: 2) {
                apply(.write(name, offset: start, part), to: &bytes)
            } else if withRubbish, random.isOnce(of: 4) {
                let rubbish = part.map { _ in UInt8.random(in: 0...255, using: &random) }
                apply(.write(name, offset: start, rubbish), to: &bytes)
            }
            start = end
        }
    }
}
