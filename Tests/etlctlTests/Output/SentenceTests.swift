import Testing

@testable import etlctl

struct SentenceTests {
    @Test(arguments: [
        ("the spool is full", "The spool is full."),
        ("p.d.orders: nothing but failures", "p.d.orders: nothing but failures."),
        ("orders_2: no such column", "orders_2: no such column."),
        ("is it?", "Is it?"),
    ])
    func `a message becomes a sentence, and names stay as they were written`(message: String, sentence: String) {
        #expect(message.capitalizedSentence == sentence)
    }
}
