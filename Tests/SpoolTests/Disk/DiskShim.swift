import Foundation
import GRDBSQLite

/// A layer between SQLite and the operating system (a VFS over the default one) for files in folders that a `WatchedDisk` watches. All other
/// files are opened as ever.
enum DiskShim {
    /// Becomes the default for all connections opened later. Done once.
    static let install: Void = {
        let shim = UnsafeMutablePointer<sqlite3_vfs>.allocate(capacity: 1)
        shim.initialize(to: original.pointee)
        shim.pointee.zName = UnsafePointer(strdup("watched"))
        shim.pointee.pNext = nil
        shim.pointee.szOsFile = Int32(headBytes) + original.pointee.szOsFile
        shim.pointee.xOpen = openFile
        shim.pointee.xDelete = deleteFile
        sqlite3_vfs_register(shim, 1)
    }()
}

/// SQLite's own layer, as it was before.
// Unsafe: read before the shim is registered, never changed, and SQLite's for ever.
nonisolated(unsafe) private let original: UnsafeMutablePointer<sqlite3_vfs> = {
    guard let layer = sqlite3_vfs_find(nil) else { preconditionFailure("SQLite has a layer of its own") }
    return layer
}()

/// What stands before the real file in the memory that SQLite gives for a file: SQLite's part, then who watches it.
private let headBytes = 32

/// One open file: which it is, and who watches it.
private final class WatchedFile: Sendable {
    let name: String
    let disk: WatchedDisk

    init(name: String, disk: WatchedDisk) {
        self.name = name
        self.disk = disk
    }
}

private typealias File = UnsafeMutablePointer<sqlite3_file>

private func memory(of file: File?) -> UnsafeMutableRawPointer {
    guard let file else { preconditionFailure("SQLite names the file") }
    return UnsafeMutableRawPointer(file)
}

private func unmanaged(_ file: File?) -> Unmanaged<WatchedFile> {
    guard let pointer = place(file).pointee else { preconditionFailure("it was opened here") }
    return Unmanaged<WatchedFile>.fromOpaque(pointer)
}

private func real(_ file: File?) -> File {
    (memory(of: file) + headBytes).assumingMemoryBound(to: sqlite3_file.self)
}

private func place(_ file: File?) -> UnsafeMutablePointer<UnsafeMutableRawPointer?> {
    (memory(of: file) + 16).assumingMemoryBound(to: UnsafeMutableRawPointer?.self)
}

private func watched(_ file: File?) -> WatchedFile {
    unmanaged(file).takeUnretainedValue()
}

private func methods(of file: File?) -> sqlite3_io_methods { real(file).pointee.pMethods.pointee }

private func openFile(
    _: UnsafeMutablePointer<sqlite3_vfs>?, _ name: UnsafePointer<CChar>?, _ file: File?, _ flags: Int32,
    _ outFlags: UnsafeMutablePointer<Int32>?
) -> Int32 {
    guard let name, let disk = WatchedDisk.watching(String(cString: name)) else {
        return original.pointee.xOpen(original, name, file, flags, outFlags)
    }
    file?.pointee.pMethods = nil
    let code = original.pointee.xOpen(original, name, real(file), flags, outFlags)
    guard code == SQLITE_OK else { return code }
    let text = String(cString: name)
    place(file).pointee = Unmanaged.passRetained(WatchedFile(name: text, disk: disk)).toOpaque()
    file?.pointee.pMethods = UnsafePointer(shimMethods)
    return code
}

private func deleteFile(_: UnsafeMutablePointer<sqlite3_vfs>?, _ name: UnsafePointer<CChar>?, _ sync: Int32) -> Int32 {
    guard let name, let disk = WatchedDisk.watching(String(cString: name)) else {
        return original.pointee.xDelete(original, name, sync)
    }
    let text = String(cString: name)
    return disk.perform(.delete(text, isSynced: sync != 0)) { original.pointee.xDelete(original, name, sync) }
}

// Unsafe: filled once, never changed.
nonisolated(unsafe) private let shimMethods: UnsafeMutablePointer<sqlite3_io_methods> = {
    let memory = UnsafeMutablePointer<sqlite3_io_methods>.allocate(capacity: 1)
    var table = sqlite3_io_methods()
    // Version 2: shared memory for the WAL, but no mapping of the file itself, which no layer would see.
    table.iVersion = 2
    table.xClose = { file in
        let code = methods(of: file).xClose(real(file))
        unmanaged(file).release()
        return code
    }
    table.xRead = { methods(of: $0).xRead(real($0), $1, $2, $3) }
    table.xWrite = { file, bytes, count, offset in
        let watched = watched(file)
        let data = UnsafeRawBufferPointer(start: bytes, count: Int(count))
        return watched.disk.perform(.write(watched.name, offset: Int(offset), [UInt8](data))) { part in
            methods(of: file).xWrite(real(file), bytes, Int32(part), offset)
        }
    }
    table.xTruncate = { file, size in
        let watched = watched(file)
        return watched.disk.perform(.truncate(watched.name, to: Int(size))) {
            methods(of: file).xTruncate(real(file), size)
        }
    }
    table.xSync = { file, flags in
        let watched = watched(file)
        return watched.disk.perform(.sync(watched.name)) { methods(of: file).xSync(real(file), flags) }
    }
    table.xFileSize = { methods(of: $0).xFileSize(real($0), $1) }
    table.xLock = { methods(of: $0).xLock(real($0), $1) }
    table.xUnlock = { methods(of: $0).xUnlock(real($0), $1) }
    table.xCheckReservedLock = { methods(of: $0).xCheckReservedLock(real($0), $1) }
    table.xFileControl = { methods(of: $0).xFileControl(real($0), $1, $2) }
    table.xSectorSize = { methods(of: $0).xSectorSize(real($0)) }
    table.xDeviceCharacteristics = { methods(of: $0).xDeviceCharacteristics(real($0)) }
    table.xShmMap = { methods(of: $0).xShmMap(real($0), $1, $2, $3, $4) }
    table.xShmLock = { methods(of: $0).xShmLock(real($0), $1, $2, $3) }
    table.xShmBarrier = { methods(of: $0).xShmBarrier(real($0)) }
    table.xShmUnmap = { methods(of: $0).xShmUnmap(real($0), $1) }
    memory.initialize(to: table)
    return memory
}()
