/// How CSV is written where it comes from.
package struct CSVOptions: Sendable, Equatable {
    /// One ASCII byte.
    package var delimiter = UInt8(ascii: ",")
    /// One ASCII byte; nil: nothing quotes.
    package var quote: UInt8? = UInt8(ascii: "\"")
    /// False: the columns are `c1`, `c2` ...
    package var hasHeader = true
    /// Unquoted texts that mean null.
    package var nulls = [""]

    package init() {}
}
