/// A store in which objects are kept: small ones, written whole.
///
/// As with reading, a store makes one attempt at each call. `.unavailable` after a write says nothing about whether it has arrived.
package protocol WritableStore: ObjectStore {
    /// Looks for an object; nil if there is none of that name.
    func find(_ name: String) async throws -> FoundObject?

    /// Writes an object if the condition holds, whole or not at all: readers see what was there before, or all of it.
    ///
    /// - Returns: the version it has now.
    /// - Throws: `ObjectStoreError.changed` when the condition does not hold; `ExtractError` as the store's other calls.
    func put(_ name: String, _ bytes: [UInt8], if condition: WriteCondition) async throws -> String

    /// Deletes an object, in whatever version. One that is not there is no error.
    func delete(_ name: String) async throws
}

/// An object that is there.
package struct FoundObject: Sendable {
    package var object: StoredObject
    /// Since it was written, both moments by the store's clock; nil where it doesn't tell the time.
    package var age: Duration?
}

/// What must hold for a write, judged by the store in the same moment.
package enum WriteCondition: Sendable, Equatable {
    /// There is no object of that name.
    case absent
    /// It is there in this version.
    case version(String)
}
