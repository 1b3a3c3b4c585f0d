/// HTML under way. Markup is written in the program; every other text comes from outside and is escaped.
struct HTMLText {
    private(set) var text = ""

    /// Markup as it stands, which only the program itself can give.
    mutating func markup(_ markup: StaticString) { text += markup.description }

    /// Any text, between tags or inside of a quoted attribute. Control characters become visible.
    mutating func text(_ text: String) {
        for scalar in Readable.plain(text).unicodeScalars {
            switch scalar {
            case "&": self.text += "&amp;"
            case "<": self.text += "&lt;"
            case ">": self.text += "&gt;"
            case "\"": self.text += "&quot;"
            case "'": self.text += "&#39;"
            default: self.text.unicodeScalars.append(scalar)
            }
        }
    }
}
