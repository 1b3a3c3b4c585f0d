"""`etlctl ship`: the spool's rows to a server that takes everything, beside a C program that posts the same bodies from memory."""

import json
import shutil
import sqlite3
import statistics

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
        self.configure(self.port)
        measure.run([bench.etlctl, "extract", "--config", self.config, "--quiet"])
        self.spool = self.folder / "spool.sqlite"
        self.filled = self.folder / "filled.sqlite"
        self.spool.rename(self.filled)
        self._write_payloads_and_table()
        server = bench.floor("insert_server", "-lpthread")
        bench.serve([server, self.port, self.folder / "table.json"], self.port)
        self.url = f"http://127.0.0.1:{self.port}/bigquery/v2/projects/p/datasets/d/tables/orders/insertAll"

    def configure(self, port):
        self.config.write_text(
            f"spool: {{path: spool.sqlite}}\n"
            f'destination: {{project: p, dataset: d, endpoint: "http://127.0.0.1:{port}", latest_views: false, '
            f"max_rows_per_request: {ROWS_PER_REQUEST}, max_in_flight: {IN_FLIGHT}}}\n"
            f"sources: {{files: {{type: files, url: data}}}}\n"
            f'streams: {{orders: {{source: files, from: "*.jsonl", table: orders}}}}\n'
        )

    def serve_badly(self, *options):
        """A server with latency, refusals, an outage (floors/insert_server.c). Returns its process and port."""
        port = self.bench.free_port()
        server = self.bench.floor("insert_server", "-lpthread")
        return self.bench.serve([server, port, self.folder / "table.json", *options], port), port

    def _write_payloads_and_table(self):
        """20,000 payloads as they were spooled, a line each, and the table they fit into."""
        self.payloads = self.folder / "payloads"
        database = sqlite3.connect(self.filled)
        size = 0
        with open(self.payloads, "wb") as file:
            for (payload,) in database.execute("SELECT CAST(payload AS BLOB) FROM row_data ORDER BY row_id LIMIT 20000"):
                file.write(payload + b"\n")
                size += len(payload)
        self.bytes_per_row = size / min(self.rows, 20_000)
        fields = {}
        for (text,) in database.execute("SELECT definition FROM shapes"):
            for line in text.split("\n"):
                name, kind = line.split("\t")[:2]
                fields.setdefault(name.lstrip("!"), kind.lstrip("!"))
        database.close()
        fields["_rescued"] = "JSON"
        kinds = {"NULL": "STRING", "JSON_TEXT": "STRING"}
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

    def ship(self, port=None):
        self.configure(port or self.port)
        for suffix in ("", "-wal", "-shm"):
            self.spool.with_name(self.spool.name + suffix).unlink(missing_ok=True)
        shutil.copyfile(self.filled, self.spool)
        sample = measure.run([self.bench.etlctl, "ship", "--config", self.config, "--quiet", "--patience", "5m"])
        database = sqlite3.connect(self.spool)
        (delivered,) = database.execute("SELECT sum(own_rows) FROM request_log WHERE state = 'delivered'").fetchone()
        database.close()
        if delivered != self.rows:
            raise measure.Failed(f"{delivered} of {self.rows} rows were delivered")
        return sample

    def post(self):
        program = self.bench.floor("post_bodies", "-lcurl")
        return measure.run([program, self.url, self.payloads, self.rows, ROWS_PER_REQUEST, IN_FLIGHT])

    def write_all_payloads(self):
        """All of them, as a script's input."""
        database = sqlite3.connect(self.filled)
        with open(self.folder / "payloads.jsonl", "wb") as file:
            for (payload,) in database.execute("SELECT CAST(payload AS BLOB) FROM row_data ORDER BY row_id"):
                file.write(payload + b"\n")
        database.close()

    def python(self, *mode):
        client = measure.HERE / "peers" / "insert_rows_json.py"
        url = f"http://127.0.0.1:{self.port}"
        rows = self.folder / "payloads.jsonl"
        return measure.run([self.bench.python, client, url, rows, self.rows, ROWS_PER_REQUEST, *mode])


def floors(bench):
    work = Workload(bench)
    samples = measure.in_turns({"etlctl ship": work.ship, "C: post the same bodies": work.post}, bench.rounds)
    ratio = measure.median(samples["C: post the same bodies"]) / measure.median(samples["etlctl ship"])
    memory = max(sample.memory for sample in samples["etlctl ship"])
    yield (
        measure.Report(
            f"Ship {work.rows:,} rows",
            f"{work.bytes_per_row:.0f} bytes a row, {ROWS_PER_REQUEST} rows a request, {IN_FLIGHT} requests in flight, loopback. "
            "The floor builds the bodies of payloads in memory, and keeps no record of what became of them.",
        )
        .add(samples)
        .promise("speed, of the C program's", ratio, 0.3, at_least=True)
        .promise("peak memory", memory, 64, unit=" MB")
    )


    yield refusals(work)
    yield outage(work)


LATENCY = 20  # milliseconds


def refusals(work):
    """Throughput while the service refuses now and then."""
    _, calm = work.serve_badly(LATENCY, 0)
    _, refusing = work.serve_badly(LATENCY, 50)
    undisturbed, disturbed = "undisturbed", "5 % of requests refused with 429, 403, 503"
    samples = measure.in_turns(
        {undisturbed: lambda: work.ship(calm), disturbed: lambda: work.ship(refusing)}, work.bench.rounds
    )
    ratio = measure.median(samples[undisturbed]) / measure.median(samples[disturbed])
    return (
        measure.Report(
            f"Ship {work.rows:,} rows to a service that refuses", f"A server that takes {LATENCY} ms for every request, as networks do."
        )
        .add(samples)
        .promise("throughput, of the undisturbed one", ratio, 0.6, at_least=True)
    )


def outage(work):
    """How soon a minute-long outage is overcome."""
    begin, length = 1, 60
    counts = work.folder / "counts"
    server, port = work.serve_badly(LATENCY, 0, begin, begin + length, counts)
    sample = work.ship(port)
    server.terminate()
    server.wait()
    accepted = [int(line) for line in counts.read_text().split()]
    before = statistics.median(accepted[2 : begin * 10])
    after = accepted[(begin + length) * 10 :]
    back = next((tenth for tenth in range(len(after)) if after[tenth] >= 0.9 * before), len(after)) / 10
    return (
        measure.Report("Ship through an outage of a minute", f"All requests answered with 503 for {length} s; {LATENCY} ms a request.")
        .add({"etlctl ship": [sample]})
        .promise("seconds after its end until nine tenths of the throughput before", back, 10, unit=" s")
    )


def peers(bench):
    work = Workload(bench)
    work.write_all_payloads()
    python = "Python, insert_rows_json, one thread"
    in_memory = "the same, its rows in memory before it begins"
    contestants = {"etlctl ship": work.ship, python: work.python, in_memory: lambda: work.python("memory")}
    samples = measure.in_turns(contestants, bench.rounds)
    ours = measure.median(samples["etlctl ship"])
    yield (
        measure.Report(
            f"Ship {work.rows:,} rows, beside Google's Python client",
            f"The same server, the same rows of {work.bytes_per_row:.0f} bytes, {ROWS_PER_REQUEST} a request: etlctl reads them from its "
            "spool and keeps the fate of each on record, the script reads them from a file of JSON lines.",
        )
        .add(samples)
        .promise("times as fast as the script", measure.median(samples[python]) / ours, 12, at_least=True)
        .say(f"times as fast as the script without its reading: **{measure.median(samples[in_memory]) / ours:.2f}**")
    )
