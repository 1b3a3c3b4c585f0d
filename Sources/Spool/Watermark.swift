/// How far a stream has been read: the pair of the last value and the key of the last record that had it.
package struct Watermark: Sendable, Equatable {
    /// The value's text, as the source writes it.
    package var value: String
    /// The key of the last record read with this value; nil when all of them were.
    package var key: String?
    /// Bytes that sort like the value, the same for every text of the same value.
    package var sortKey: [UInt8]

    package init(value: String, key: String?, sortKey: [UInt8]) {
        self.value = value
        self.key = key
        self.sortKey = sortKey
    }
}
