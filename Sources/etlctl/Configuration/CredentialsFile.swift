import Foundation

/// Checks a credentials file at the moment it is needed, not when the configuration is loaded: `ship` must work where
/// the source's keys are not.
enum CredentialsFile {
    /// - Returns: why the file can't be used, in words for a user; nil where it can be read. Never its content.
    static func problem(with path: String) -> String? {
        var isFolder: ObjCBool = false
        guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) else {
            return "the credentials file \(path) does not exist"
        }
        if isFolder.boolValue { return "the credentials file \(path) is a folder" }
        guard FileManager.default.isReadableFile(atPath: path) else {
            return "the credentials file \(path) can't be read (permission denied)"
        }
        return nil
    }

    /// - Throws: a configuration error (78) where the file is missing or unreadable.
    static func check(_ path: String) throws(Failure) {
        if let problem = problem(with: path) {
            throw .config(
                problem.prefix(1).uppercased() + problem.dropFirst() + ".",
                hint: "Set `credentials` to a file this user can read; relative paths start at the configuration file.")
        }
    }
}
