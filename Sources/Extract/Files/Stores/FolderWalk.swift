#if canImport(Glibc)
    internal import Glibc
#endif

/// Finds the files of a folder whose names begin with a prefix, in all of its folders.
struct FolderWalk {
    private static let maximumDepth = 64

    /// A folder, whatever it is called.
    private struct Folder: Equatable {
        var device: dev_t
        var number: ino_t

        init(_ status: stat) {
            device = status.st_dev
            number = status.st_ino
        }
    }

    /// Ends in `/`.
    let root: String
    let prefix: String
    let url: String
    private var found: [StoredObject] = []

    init(root: String, prefix: String, url: String) {
        self.root = root
        self.prefix = prefix
        self.url = url
    }

    /// - Throws: `ExtractError` of kind `.configuration` when the root is no folder, `.denied` when one can't be read.
    mutating func files() throws -> [StoredObject] {
        var status = stat()
        guard stat(root, &status) == 0, status.st_mode & S_IFMT == S_IFDIR else {
            throw ExtractError(
                .configuration, "the folder \(root) does not exist",
                at: .source("url"), hint: "create it, or set the source's url to another")
        }
        let base = prefix.lastIndex(of: "/").map { String(prefix[...$0]) } ?? ""
        try walk(base, within: way(to: base, from: Folder(status)))
        return found
    }

    /// The folders from the root to the one where the walk begins.
    private func way(to base: String, from top: Folder) -> [Folder] {
        var way = [top]
        for end in base.indices where base[end] == "/" {
            var status = stat()
            if stat(root + base[...end], &status) == 0 { way.append(Folder(status)) }
        }
        return way
    }

    /// - Parameters:
    ///   - folder: below the root; empty or ending in `/`.
    ///   - way: it and all folders above it.
    private mutating func walk(_ folder: String, within way: [Folder]) throws {
        guard way.count <= Self.maximumDepth else {
            throw ExtractError(
                .configuration, "the folders below \(url)\(folder) are nested too deeply",
                hint: "at most \(Self.maximumDepth) folders may lie in each other; narrow from: to a part of them")
        }
        guard let stream = opendir(root + folder) else {
            if errno == ENOENT || errno == ENOTDIR { return }
            throw FileFailure.reading(url + folder, errno)
        }
        defer { closedir(stream) }
        while let entry = readdir(stream) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            guard name != ".", name != ".." else { continue }
            let path = folder + name
            // Names that can still become a match: all of the prefix so far, in one direction or the other.
            let isMatch = path.utf8.starts(with: prefix.utf8)
            guard isMatch || prefix.utf8.starts(with: (path + "/").utf8) else { continue }
            var status = stat()
            guard stat(root + path, &status) == 0 else { continue }
            switch status.st_mode & S_IFMT {
            case S_IFDIR:
                // A link back to where it lies would show the same files again and again.
                if way.contains(Folder(status)) { continue }
                try walk(path + "/", within: way + [Folder(status)])
            case S_IFREG where isMatch:
                found.append(
                    StoredObject(name: path, size: Int64(status.st_size), version: Self.version(of: status)))
            default: break
            }
        }
    }

    /// Size and modification time.
    static func version(of status: stat) -> String {
        let fraction = String(status.st_mtim.tv_nsec)
        let padding = String(repeating: "0", count: max(0, 9 - fraction.count))
        return "\(status.st_size)-\(status.st_mtim.tv_sec).\(padding)\(fraction)"
    }
}
