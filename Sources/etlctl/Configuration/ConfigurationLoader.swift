import Foundation

/// Finds and reads the configuration file.
enum ConfigurationLoader {
    static let defaultName = "etl.yaml"

    /// Where the file is: `--config`, else `ETLCTL_CONFIG`, else `etl.yaml` in the working folder.
    ///
    /// - Returns: the absolute path, and the name the user knows it by.
    static func locate(
        flag: String?, environment: [String: String], workingDirectory: String
    ) -> (path: String, displayName: String) {
        let variable = environment["ETLCTL_CONFIG"].flatMap { $0.isEmpty ? nil : $0 }
        let name = flag ?? variable ?? defaultName
        return (FilePaths.resolve(name, below: workingDirectory, home: environment["HOME"]), name)
    }

    /// Reads, decodes and checks the whole file; nothing else is touched: no network, no credentials, no spool.
    ///
    /// - Throws: a configuration error (78), also where there is no file.
    static func load(
        flag: String?, environment: [String: String], workingDirectory: String
    ) throws(Failure) -> Configuration {
        let (path, displayName) = locate(flag: flag, environment: environment, workingDirectory: workingDirectory)
        let data: Data
        do {
            data = try Data(contentsOf: URL(fileURLWithPath: path))
        } catch {
            throw unreadable(path, displayName: displayName, error: error)
        }
        guard let text = String(validating: data, as: UTF8.self) else {
            throw .located(file: displayName, path: "", line: nil, "the file is not UTF-8 text")
        }
        return try decode(text, path: path, displayName: displayName, environment: environment)
    }

    /// - Parameter path: the file's absolute path; relative paths in the text start at its folder.
    static func decode(
        _ text: String, path: String, displayName: String, environment: [String: String]
    ) throws(Failure) -> Configuration {
        let reader = ConfigurationReader(displayName: displayName, environment: environment)
        let decoder = ConfigurationDecoder(
            reader: reader, environment: environment, folder: FilePaths.parent(of: path))
        return try decoder.decode(try reader.root(of: text), file: path)
    }

    private static func unreadable(_ path: String, displayName: String, error: any Error) -> Failure {
        var isFolder: ObjCBool = false
        let isThere = FileManager.default.fileExists(atPath: path, isDirectory: &isFolder)
        // In a folder that may not be searched nothing can be told of it.
        if !isThere, access(path, F_OK) != 0, errno != EACCES {
            return .config(
                "There is no configuration file \(displayName).",
                hint: "Run `etlctl init` to write one, or name another with --config or ETLCTL_CONFIG.")
        }
        if isFolder.boolValue {
            return .config(
                "The configuration file \(displayName) can't be read: it is a folder.",
                hint: "Name the file itself, such as \(displayName)/\(defaultName), with --config or ETLCTL_CONFIG.")
        }
        let isDenied = access(path, R_OK) != 0 && errno == EACCES
        return .config(
            "The configuration file \(displayName) can't be read: "
                + (isDenied ? "permission denied." : "\(error.localizedDescription)"),
            hint: isDenied
                ? "Let this user read it (chmod, chown), or name another file with --config or ETLCTL_CONFIG."
                : "Look whether the disk and the file are well, or name another with --config or ETLCTL_CONFIG.")
    }
}
