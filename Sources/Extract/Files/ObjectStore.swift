internal import Spool

/// A place that holds objects: a folder, or a bucket, below one URL.
///
/// Names are those below that URL, as they are (never percent-encoded), with `/` between their parts. A store makes one attempt at each
/// call: whatever may mend itself is thrown as an `ExtractError` of kind `.unavailable`, and the run tries again.
///
/// Errors: `ObjectStoreError` for an object that is not there any more in the listed version; `ExtractError` of kind `.denied` for
/// credentials or permission, `.configuration` for a folder, bucket or container that does not exist, `.unavailable` for what is transient.
/// Messages name the URL, and never hold a key, token or signature.
package protocol ObjectStore: Sendable {
    /// The scheme of its URLs: `file`, `gs`, `s3`, `az`.
    static var kind: String { get }

    /// What all names are below, ending in `/`: `file:///dir/`, `gs://bucket/exports/`, `s3://bucket/`, `az://account/container/`. Not
    /// percent-encoded; never with credentials.
    var url: String { get }

    /// One page of the objects whose names begin with `prefix`, in any order; no name occurs twice in a listing. Placeholders of folders
    /// (names ending in `/`) are left out.
    ///
    /// - Parameters:
    ///   - prefix: below `url`; may end within a part of a name (`orders/2024-`), may be empty.
    ///   - token: `next` of the page before; nil for the first.
    func list(prefix: String, after token: String?) async throws -> ObjectListing

    /// Opens an object for reading in the version that was listed, from a byte offset to its end. The bytes are those that are stored: no
    /// content encoding is undone.
    ///
    /// - Throws: `ObjectStoreError.changed` or `.gone` when there is no such version (GCS: 404 or 412 on the generation; S3, Azure: 412 on
    ///   `If-Match`). A version that can't be asked for is compared with what is opened.
    func open(_ object: StoredObject, from offset: Int64) async throws -> ObjectBody

    /// The bytes of a range of the version that was listed, whole. The range lies within the object and is small (a Parquet footer, a column
    /// chunk); a shorter answer is `.unavailable`.
    func read(_ object: StoredObject, range: Range<Int64>) async throws -> [UInt8]
}

extension ObjectStore {
    /// An object's URL as it stands in `_path`.
    package func url(of name: String) -> String { url + name }
}

/// An object in one version.
package struct StoredObject: Sendable, Equatable {
    /// Below the store's URL.
    package var name: String
    /// In bytes, as stored.
    package var size: Int64
    /// Differs whenever the content may: generation (GCS), ETag (S3, Azure), size and modification time (files).
    package var version: String

    package init(name: String, size: Int64, version: String) {
        self.name = name
        self.size = size
        self.version = version
    }

    package static func == (left: StoredObject, right: StoredObject) -> Bool {
        left.name.exact == right.name.exact && left.size == right.size && left.version.exact == right.version.exact
    }
}

/// One page of a listing.
package struct ObjectListing: Sendable {
    package var objects: [StoredObject]
    /// Where the next page begins, opaque; nil on the last one.
    package var next: String?

    package init(objects: [StoredObject], next: String? = nil) {
        self.objects = objects
        self.next = next
    }
}

/// The bytes of an open object, in order, in chunks of up to about 1 MiB. Letting it go closes what it reads from.
package struct ObjectBody: Sendable {
    private let read: @Sendable () async throws -> [UInt8]?

    /// - Parameter next: the next chunk, never empty; nil at the end of a whole body. It throws where the body is cut off, after the chunks
    ///   that arrived. Called by one task at a time.
    package init(_ next: @escaping @Sendable () async throws -> [UInt8]?) { read = next }

    package func next() async throws -> [UInt8]? { try await read() }
}

/// Why an object can't be read in the version that was listed. No failure of the store: the next run meets what is there then.
package enum ObjectStoreError: Error, Sendable, CustomStringConvertible {
    /// Another version took its place.
    case changed(url: String)
    /// It was deleted.
    case gone(url: String)

    package var description: String {
        switch self {
        case .changed(let url): "\(url) was replaced while it was read"
        case .gone(let url): "\(url) was deleted before it was read"
        }
    }
}
