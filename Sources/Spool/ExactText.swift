internal import Foundation
internal import GRDB

/// A text that equals only what has the same bytes, and sorts by them.
///
/// To `String`, `é` as one character and `e` with an accent are one text, in `==`, as a member of a set and as a key of a dictionary. To
/// sources they are two names, ids or values: what comes from one is compared as `ExactText`.
///
/// It is also how such texts pass into the spool and out of it. GRDB takes a `String` for a C string both ways, so that it ends at its first
/// NUL. An `ExactText` is bound as bytes, for `CAST(? AS TEXT)`, and read as bytes, from `CAST(column AS BLOB)`.
package struct ExactText: Sendable {
    package let string: String

    package init(_ text: some StringProtocol) { string = String(text) }

    package var utf8: String.UTF8View { string.utf8 }
}

extension ExactText: Hashable, Comparable {
    package static func == (left: ExactText, right: ExactText) -> Bool { left.utf8.elementsEqual(right.utf8) }

    package func hash(into hasher: inout Hasher) {
        var text = string
        text.withUTF8 { hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
        // Keeps the bytes of two texts in a row apart: no text holds it.
        hasher.combine(0xFF as UInt8)
    }

    package static func < (left: ExactText, right: ExactText) -> Bool {
        left.utf8.lexicographicallyPrecedes(right.utf8)
    }
}

extension ExactText: ExpressibleByStringLiteral, CustomStringConvertible {
    package init(stringLiteral text: String) { self.init(text) }

    package var description: String { string }
}

extension StringProtocol {
    /// For comparing by bytes.
    package var exact: ExactText { ExactText(self) }
}

// MARK: In the spool

extension ExactText {
    /// The argument for `CAST(? AS TEXT)`.
    var asData: Data { Data(string.utf8) }

    /// `SELECT` terms that read texts as bytes, each under its column's name. In front of a `*`: of equal names a row knows the first.
    static func terms(_ columns: String...) -> String {
        columns.map { "CAST(\($0) AS BLOB) AS \($0)" }.joined(separator: ", ")
    }
}

extension Row {
    /// A text that the statement reads as bytes; nil for NULL.
    func exact(_ column: String) -> ExactText? {
        let value: DatabaseValue = self[column]
        guard case .blob(let bytes) = value.storage else {
            assert(value.isNull, "\(column) was read as a C string")
            return nil
        }
        return ExactText(String(decoding: bytes, as: UTF8.self))
    }
}
