/// Paths as text: what the configuration needs of them, without touching the disk.
enum FilePaths {
    /// An absolute path without `.`, `..` and doubled slashes. A leading `~/` is the home folder.
    static func resolve(_ path: String, below folder: String, home: String?) -> String {
        var full = path
        if path == "~" || path.hasPrefix("~/"), let home, !home.isEmpty {
            full = home + path.dropFirst(1)
        } else if !path.hasPrefix("/") {
            full = "\(folder)/\(path)"
        }
        var parts: [Substring] = []
        for part in full.split(separator: "/") where part != "." {
            if part == ".." {
                _ = parts.popLast()
            } else {
                parts.append(part)
            }
        }
        return "/" + parts.joined(separator: "/")
    }

    static func parent(of path: String) -> String {
        guard let slash = path.lastIndex(of: "/"), slash != path.startIndex else { return "/" }
        return String(path[..<slash])
    }
}
