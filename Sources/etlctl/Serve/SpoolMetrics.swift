import Spool

/// The metrics of a reading: the numbers of `status` and `audit` under Prometheus' names.
enum SpoolMetrics {
    /// Families without a series are those whose numbers are not known.
    static func families(of reading: SpoolReading) -> [MetricFamily] {
        var all = ofSpool(reading)
        guard let report = reading.report else { return all }
        var requests: [Int64: [RowState: Int]] = [:]
        if case .open(_, let open) = reading.state { requests = open }
        all += ofRows(tables(report, requests))
        all += ofRuns(report)
        return all
    }

    private static func ofSpool(_ reading: SpoolReading) -> [MetricFamily] {
        var up = MetricFamily(
            "etlctl_up", "1 if the spool could be read or does not exist yet, 0 if it could not be read.")
        up.add(reading.failure == nil ? 1 : 0)
        var exists = MetricFamily("etlctl_spool_exists", "1 if there is a spool, 0 before the first extraction.")
        var used = MetricFamily("etlctl_spool_used_bytes", "Pages of the spool in use, which max_size bounds.")
        switch reading.state {
        case .missing: exists.add(0)
        case .open(let report, _):
            exists.add(1)
            used.add(report.bytes)
        case .unreadable: exists.add(1)
        }
        var maximum = MetricFamily("etlctl_spool_max_bytes", "spool.max_size: extract waits there.")
        maximum.add(reading.maximumBytes)
        var free = MetricFamily(
            "etlctl_spool_filesystem_free_bytes", "What the spool's file system has left for this user.")
        if let bytes = reading.freeBytes { free.add(bytes) }
        return [up, exists, used, maximum, free]
    }

    private static func ofRows(_ tables: [Table]) -> [MetricFamily] {
        var rows = MetricFamily("etlctl_rows", "Rows in the spool by state.")
        var spooled = MetricFamily("etlctl_rows_spooled_total", "Rows spooled, also those no longer there.")
        var delivered = MetricFamily(
            "etlctl_rows_delivered_total", "Rows delivered, also those that retention removed since.")
        var retired = MetricFamily(
            "etlctl_rows_retired_total", "Delivered rows that retention removed from the spool.")
        var oldest = MetricFamily(
            "etlctl_oldest_undelivered_age_seconds",
            "Since the extraction of the oldest row that is pending, sending or in doubt; 0 without one.")
        var requests = MetricFamily("etlctl_open_requests", "Requests that are not settled, by state.")
        for table in tables {
            let (stream, name) = (("stream", table.stream), ("table", table.name))
            for state in RowState.allCases {
                rows.add(table.sum { $0.count(of: state) }, stream, name, ("state", state.rawValue))
            }
            spooled.add(table.sum(\.spooled), stream, name)
            delivered.add(table.sum { $0.delivered + $0.retired }, stream, name)
            retired.add(table.sum(\.retired), stream, name)
            oldest.add(table.oldest / .seconds(1), stream, name)
            for state in [RowState.pending, .sending, .inDoubt] {
                requests.add(table.requests[state] ?? 0, stream, name, ("state", state.rawValue))
            }
        }
        return [rows, spooled, delivered, retired, oldest, requests]
    }

    private static func ofRuns(_ report: StatusReport) -> [MetricFamily] {
        var configured = MetricFamily(
            "etlctl_stream_configured", "1 if the stream is configured, 0 if only the spool still knows it.")
        var status = MetricFamily(
            "etlctl_last_run_status", "1 for the status of the stream's last run, 0 for the others.")
        var start = MetricFamily("etlctl_last_run_start_timestamp_seconds", "When the last run started.")
        var end = MetricFamily(
            "etlctl_last_run_end_timestamp_seconds", "When the last run ended; absent while it runs.")
        var read = MetricFamily("etlctl_last_run_rows_read", "Rows that the last run read.")
        var spooled = MetricFamily("etlctl_last_run_rows_spooled", "Rows that the last run spooled.")
        var seen: Set<String> = []
        // A stream with rows for several tables has several lines.
        for line in report.lines where seen.insert(line.stream).inserted {
            let stream = ("stream", line.stream)
            configured.add(line.isConfigured ? 1 : 0, stream)
            for each in Run.Status.allCases {
                status.add(line.lastRun?.run.status == each ? 1 : 0, stream, ("status", each.rawValue))
            }
            guard let record = line.lastRun else { continue }
            start.add(record.run.startedAt.seconds, stream)
            if let finishedAt = record.finishedAt { end.add(finishedAt.seconds, stream) }
            read.add(record.run.counters.rowsRead, stream)
            spooled.add(record.run.counters.rowsSpooled, stream)
        }
        return [configured, status, start, end, read, spooled]
    }

    /// A stream's rows for one table, at whatever endpoints: no series may occur twice.
    private struct Table {
        var stream: String
        var name: String
        var entries: [LedgerEntry] = []
        var oldest = Duration.zero
        var requests: [RowState: Int] = [:]

        func sum(_ count: (LedgerEntry) -> Int) -> Int { entries.reduce(0) { $0 + count($1) } }
    }

    /// In the order of `status`; tables that it leaves out follow.
    private static func tables(_ report: StatusReport, _ requests: [Int64: [RowState: Int]]) -> [Table] {
        var tables: [Table] = []
        var places: [[String]: Int] = [:]
        func place(_ stream: String, _ name: String) -> Int {
            if let place = places[[stream, name]] { return place }
            tables.append(Table(stream: stream, name: name))
            places[[stream, name]] = tables.count - 1
            return tables.count - 1
        }
        for line in report.lines {
            let place = place(line.stream, line.table)
            tables[place].oldest = max(tables[place].oldest, line.oldestUndelivered ?? .zero)
        }
        for entry in report.ledger {
            let place = place(entry.route.stream, entry.route.table)
            tables[place].entries.append(entry)
            tables[place].requests.merge(requests[entry.route.number] ?? [:]) { $0 + $1 }
        }
        return tables
    }
}

extension Timestamp {
    /// Since 1970.
    fileprivate var seconds: Double { Double(microseconds) / 1_000_000 }
}
