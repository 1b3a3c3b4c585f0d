"""`etlctl ship`: the spool's rows to a server that takes everything, beside a C program that posts the same bodies from memory."""

import json
import shutil
import sqlite3

import measure
import records

ROWS_PER_REQUEST = 500
IN_FLIGHT = 8


class Workload:
    """A spool with rows of about 500 bytes, its payloads as a file, and the server they go to."""

    def __init__(self, bench):
        self.bench = bench
        self.rows = bench.rows(1_000_000)
        self.folder = bench.folder("ship")
        self.port = bench.free_port()
        self.config = self.folder / "etl.yaml"
        (self.folder / "data").mkdir()
        records.write_json_lines(self.folder / "data" / "orders.jsonl", self.rows)
        self.config.write_text(
            f"spool: {{path: spool.sqlite}}\n"
            f'destination: {{project: p, dataset: d, endpoint: "http://127.0.0.1:{self.port}", latest_views: false, '
            f"max_rows_per_request: {ROWS_PER_REQUEST}, max_in_flight: {IN_FLIGHT}}}\n"
            f"sources: {{files: {{type: files, url: data}}}}\n"
            f'streams: {{orders: {{source: files, from: "*.jsonl", table: orders}}}}\n'
        )
        measure.run([bench.etlctl, "extract", "--config", self.config, "--quiet"])
        self.spool = self.folder / "spool.sqlite"
        self.filled = self.folder / "filled.sqlite"
        self.spool.rename(self.filled)
        self._write_payloads_and_table()
        server = bench.floor("insert_server", "-lpthread")
        bench.serve([server, self.port, self.folder / "table.json"], self.port)
        self.url = f"http://127.0.0.1:{self.port}/bigquery/v2/projects/p/datasets/d/tables/orders/insertAll"

    def _write_payloads_and_table(self):
        """20,000 payloads as they were spooled, a line each, and the table they fit into."""
        self.payloads = self.folder / "payloads"
        database = sqlite3.connect(self.filled)
        with open(self.payloads, "wb") as file:
            rows = database.execute("SELECT CAST(payload AS BLOB) FROM row_data ORDER BY row_id LIMIT 20000")
            self.sample = [payload for (payload,) in rows]
            for payload in self.sample:
                file.write(payload + b"\n")
        fields = {}
        for (text,) in database.execute("SELECT definition FROM shapes"):
            for line in text.split("\n"):
                name, kind = line.split("\t")[:2]
                fields.setdefault(name.lstrip("!"), kind.lstrip("!"))
        database.close()
        fields["_rescued"] = "JSON"
        kinds = {"NULL": "STRING"}
        columns = [{"name": name, "type": kinds.get(kind, kind)} for name, kind in fields.items()]
        table = {
            "kind": "bigquery#table",
            "etag": "1",
            "id": "p:d.orders",
            "tableReference": {"projectId": "p", "datasetId": "d", "tableId": "orders"},
            "creationTime": "1600000000000",
            "type": "TABLE",
            "location": "US",
            "schema": {"fields": columns},
        }
        (self.folder / "table.json").write_text(json.dumps(table))

    def bytes_per_row(self):
        return sum(map(len, self.sample)) / len(self.sample)

    def ship(self):
        for suffix in ("", "-wal", "-shm"):
            self.spool.with_name(self.spool.name + suffix).unlink(missing_ok=True)
        shutil.copyfile(self.filled, self.spool)
        sample = measure.run([self.bench.etlctl, "ship", "--config", self.config, "--quiet"])
        database = sqlite3.connect(self.spool)
        (delivered,) = database.execute("SELECT sum(own_rows) FROM request_log WHERE state = 'delivered'").fetchone()
        database.close()
        if delivered != self.rows:
            raise measure.Failed(f"{delivered} of {self.rows} rows were delivered")
        return sample

    def post(self):
        program = self.bench.floor("post_bodies", "-lcurl")
        return measure.run([program, self.url, self.payloads, self.rows, ROWS_PER_REQUEST, IN_FLIGHT])

    def python(self):
        client = measure.HERE / "peers" / "insert_rows_json.py"
        url = f"http://127.0.0.1:{self.port}"
        return measure.run([self.bench.python, client, url, self.payloads, self.rows, ROWS_PER_REQUEST])


def floors(bench):
    work = Workload(bench)
    samples = measure.in_turns({"etlctl ship": work.ship, "C: post the same bodies": work.post}, bench.rounds)
    ratio = measure.median(samples["C: post the same bodies"]) / measure.median(samples["etlctl ship"])
    memory = max(sample.memory for sample in samples["etlctl ship"])
    yield (
        measure.Report(
            f"Ship {work.rows:,} rows",
            f"{work.bytes_per_row():.0f} bytes a row, {ROWS_PER_REQUEST} rows a request, {IN_FLIGHT} requests in flight, loopback. "
            "The floor builds the bodies of payloads in memory, and keeps no record of what became of them.",
        )
        .add(samples)
        .promise("speed, of the C program's", ratio, 0.3, at_least=True)
        .promise("peak memory", memory, 64, unit=" MB")
    )


def peers(bench):
    work = Workload(bench)
    python = "Python, insert_rows_json, one thread"
    samples = measure.in_turns({"etlctl ship": work.ship, python: work.python}, bench.rounds)
    ratio = measure.median(samples[python]) / measure.median(samples["etlctl ship"])
    yield (
        measure.Report(
            f"Ship {work.rows:,} rows, beside Google's Python client",
            "The same server and the same rows. The Python program has its rows in memory as dictionaries and gives each an insertId; "
            "reading them is not counted against it.",
        )
        .add(samples)
        .promise("times as fast", ratio, 12, at_least=True)
    )
