import Testing
import Transport

@Suite struct XMLElementTests {
    @Test func `elements, entities, CDATA and comments are read as XML has them`() throws {
        let text = """
            \u{FEFF}<?xml version="1.0" encoding="UTF-8"?><!-- c -->
            <s3:Result xmlns:s3="http://x" a='1'><Key>a&amp;b &lt;c&gt; &#228;&#x20AC;</Key><Empty/><Empty x="y" />
            <Key><![CDATA[<raw & text>]]>!</Key></s3:Result>
            """
        let root = try XMLElement(parsing: Array(text.utf8))
        #expect(root.name == "Result")
        #expect(root.all("Key").map(\.text) == ["a&b <c> \u{e4}\u{20ac}", "<raw & text>!"])
        #expect(root.all("Empty").count == 2)
        #expect(root["Nothing"] == nil)
    }

    @Test(arguments: [
        "", "text", "<a>", "<a></b>", "<a><b></a></b>", "<a>&unknown;</a>", "<a>&#xD800;</a>", "<a b></a>", "<a/><b/>",
        "<!DOCTYPE a [<!ENTITY x \"y\">]><a/>", "<a b=\"<\"/>", "<a>&amp</a>", "<", "</", "<a", "<a b='", "<![CDATA[",
        String(repeating: "<a>", count: 100_000),
    ])
    func `what is no well-formed XML is refused`(text: String) {
        #expect(throws: XMLElement.SyntaxError.self) { try XMLElement(parsing: Array(text.utf8)) }
    }

    @Test func `every cut of an answer is refused, none is read beyond its end`() {
        let bytes = Array("<?xml version=\"1.0\"?><R a=\"b\"><K>&amp;<![CDATA[x]]></K><!-- c --><E/></R>".utf8)
        for count in 0..<bytes.count {
            #expect(throws: XMLElement.SyntaxError.self) { try XMLElement(parsing: Array(bytes[..<count])) }
        }
    }
}
