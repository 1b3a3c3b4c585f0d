extension String {
    /// A name in back quotes, as BigQuery's SQL and Firestore's field paths write it: a backslash stands before what would end it.
    ///
    /// By scalars: a quote before an accent is still a quote, and what only looks like one is none.
    var backQuoted: String {
        var text = String.UnicodeScalarView(["`"])
        for scalar in unicodeScalars {
            if scalar == "`" || scalar == "\\" { text.append("\\") }
            text.append(scalar)
        }
        text.append("`")
        return String(text)
    }
}
