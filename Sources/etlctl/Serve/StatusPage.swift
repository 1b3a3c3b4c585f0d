import Foundation
import Spool
import Transport

/// `etlctl status` as a page: one document without scripts, images or anything to load.
struct StatusPage {
    private var html = HTMLText()
    private let redact: (String) -> String

    /// - Parameter redact: takes secrets out of texts that others wrote: errors, watermarks.
    init(_ reading: SpoolReading, redact: @escaping (String) -> String) {
        self.redact = redact
        html.markup(
            """
            <!DOCTYPE html>
            <html lang="en">
            <head>
            <meta charset="utf-8">
            <meta name="viewport" content="width=device-width, initial-scale=1">
            <meta http-equiv="refresh" content="15">
            <title>etlctl</title>
            <style>
            """)
        html.markup(Self.style)
        html.markup("</style>\n</head>\n<body>\n<h1>etlctl</h1>\n")
        addSpool(reading)
        switch reading.state {
        case .unreadable(let failure): add(failure)
        case .missing(let report):
            html.markup("<p>There is no spool yet: the first <code>etlctl extract</code> makes it.</p>\n")
            add(report)
        case .open(let report, _): add(report)
        }
        html.markup("<p class=\"note\">As of ")
        html.text(reading.at.description)
        html.markup(
            """
            , again every 15 seconds. For programs: <a href="/metrics">/metrics</a>, <a href="/healthz">/healthz</a>.</p>
            </body>
            </html>

            """)
    }

    var text: String { html.text }

    private mutating func addSpool(_ reading: SpoolReading) {
        html.markup("<p>Spool <code>")
        html.text(reading.path)
        html.markup("</code>")
        var facts: [String] = []
        if let report = reading.report {
            facts.append("\(Readable.bytes(report.bytes)) of at most \(Readable.bytes(reading.maximumBytes))")
        }
        if let free = reading.freeBytes { facts.append("\(Readable.bytes(free)) free on its disk") }
        for fact in facts {
            html.markup(", ")
            html.text(fact)
        }
        html.markup("</p>\n")
    }

    private mutating func add(_ failure: Failure) {
        html.markup("<p class=\"problem\" role=\"alert\"><strong>")
        html.text(redact(failure.message))
        html.markup("</strong> ")
        html.text(redact(failure.hint ?? ""))
        html.markup("</p>\n")
    }

    private mutating func add(_ report: StatusReport) {
        html.markup(
            """
            <div class="wide"><table>
            <thead><tr><th scope="col">Stream</th><th scope="col">Table</th><th scope="col">Watermark</th>\
            <th scope="col" class="n">Pending</th><th scope="col" class="n">Sending</th>\
            <th scope="col" class="n">In doubt</th><th scope="col" class="n">Delivered</th>\
            <th scope="col" class="n">Rejected</th><th scope="col" class="n">Discarded</th>\
            <th scope="col" class="n">Retired</th><th scope="col" class="n">Oldest undelivered</th>\
            <th scope="col">Last run</th></tr></thead>
            <tbody>

            """)
        for line in report.lines { add(line) }
        html.markup("</tbody>\n</table></div>\n")
        addProblems(of: report)
    }

    private mutating func add(_ line: StatusReport.Line) {
        html.markup("<tr><th scope=\"row\">")
        html.text(line.stream)
        if !line.isConfigured { html.markup(" <span class=\"note\">removed</span>") }
        html.markup("</th><td>")
        html.text(line.table)
        html.markup("</td><td>")
        html.text(redact(line.watermark ?? "-"))
        html.markup("</td>")
        for state in RowState.allCases {
            let count = line.ledger?.count(of: state) ?? 0
            let isProblem = count > 0 && (state == .rejected || state == .inDoubt)
            addNumber(Readable.count(Int64(count)), isProblem: isProblem)
        }
        addNumber(Readable.count(Int64(line.ledger?.retired ?? 0)))
        addNumber(line.oldestUndelivered.map(Readable.duration) ?? "-")
        html.markup("<td>")
        add(line.lastRun)
        html.markup("</td></tr>\n")
    }

    private mutating func addNumber(_ text: String, isProblem: Bool = false) {
        if isProblem { html.markup("<td class=\"n problem\">") } else { html.markup("<td class=\"n\">") }
        html.text(text)
        html.markup("</td>")
    }

    private mutating func add(_ record: RunRecord?) {
        guard let record else { return html.markup("never") }
        if record.run.status == .failed { html.markup("<strong class=\"problem\">") } else { html.markup("<strong>") }
        html.text(record.run.status.rawValue)
        html.markup("</strong> ")
        html.text("since \(record.run.startedAt)")
        if let end = record.finishedAt {
            html.text(", took \(Readable.duration(max(.zero, end.since(record.run.startedAt))))")
        }
        let counters = record.run.counters
        html.text(", \(Readable.count(Int64(counters.rowsRead))) read")
        html.text(", \(Readable.count(Int64(counters.rowsSpooled))) spooled")
    }

    /// Last errors and snapshots that are held up.
    private mutating func addProblems(of report: StatusReport) {
        let texts = report.notes.map(redact)
        if texts.isEmpty { return }
        html.markup("<h2>To look at</h2>\n<ul>\n")
        for text in texts {
            html.markup("<li>")
            html.text(text)
            html.markup("</li>\n")
        }
        html.markup("</ul>\n")
    }

    /// Nothing but this style sheet is allowed, and no other site may frame the page.
    static let contentSecurityPolicy: String = {
        let hash = Data(Digest.sha256(Array(style.description.utf8))).base64EncodedString()
        return "default-src 'none'; style-src 'sha256-\(hash)'; base-uri 'none'; form-action 'none'; "
            + "frame-ancestors 'none'"
    }()

    private static let style: StaticString = """
        :root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif; }
        body { margin: 2rem; }
        h1 { font-size: 1.4rem; } h2 { font-size: 1.1rem; }
        code { font-family: ui-monospace, monospace; }
        .wide { overflow-x: auto; }
        table { border-collapse: collapse; }
        th, td { padding: .3rem .8rem; text-align: left; vertical-align: top; border-bottom: 1px solid #8884; }
        .n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
        .problem { color: light-dark(#b00020, #ff8a80); font-weight: 600; }
        .note { color: GrayText; font-weight: 400; }
        """
}
