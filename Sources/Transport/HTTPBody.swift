/// The bytes of a request body: immutable, at one address until the last reference is gone, so that libcurl can read
/// them while they are sent.
// @unchecked Sendable: the memory is written before init returns and never again.
package final class HTTPBody: @unchecked Sendable {
    // Allocated or adopted in init and freed in deinit, unless an owner keeps it; lent only through withUnsafeBytes.
    private let storage: UnsafeMutableRawBufferPointer
    private let owner: (any AnyObject & Sendable)?

    package init(copying bytes: UnsafeRawBufferPointer) {
        storage = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 1)
        storage.copyMemory(from: bytes)
        owner = nil
    }

    /// Copies the bytes: an array gives its address away for the length of one call only.
    package init(_ bytes: [UInt8]) {
        storage = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 1)
        storage.copyBytes(from: bytes)
        owner = nil
    }

    /// Takes over memory that was allocated with `UnsafeMutableRawBufferPointer.allocate`; nobody else may write or
    /// free it from now on.
    package init(adopting buffer: UnsafeMutableRawBufferPointer) {
        storage = buffer
        owner = nil
    }

    /// Borrows memory that `owner` keeps at its place and unchanged for as long as it lives; it is let go with the body.
    package init(_ bytes: UnsafeRawBufferPointer, keepingAlive owner: any AnyObject & Sendable) {
        storage = UnsafeMutableRawBufferPointer(mutating: bytes)
        self.owner = owner
    }

    deinit {
        if owner == nil { storage.deallocate() }
    }

    package var count: Int { storage.count }

    package func withUnsafeBytes<Result, Failure: Error>(
        _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try body(UnsafeRawBufferPointer(storage))
    }
}
