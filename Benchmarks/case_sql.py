"""`etlctl extract` from PostgreSQL and from MariaDB into the spool, beside the servers' own copies and a C program that inserts the same
payloads; and beside sling and dlt."""

import sqlite3

import databases
import measure

ROWS_PER_COMMIT = 2000


class Extraction:
    """A table of 12 columns on a server of one kind, a configuration to read it, and the payloads that come of it."""

    def __init__(self, bench, kind, server):
        self.bench = bench
        self.rows = bench.rows(1_000_000)
        self.server = server(bench, self.rows)
        self.folder = bench.folder(f"extract-{kind}")
        self.config = self.folder / "etl.yaml"
        self.config.write_text(
            f"spool: {{path: spool.sqlite}}\n"
            f'destination: {{project: p, dataset: d, endpoint: "http://127.0.0.1:9"}}\n'
            f'sources: {{shop: {{type: {kind}, url: "{self.server.url}"}}}}\n'
            f"streams: {{orders: {{source: shop, from: orders, mode: full}}}}\n"
        )
        self.spool = self.folder / "spool.sqlite"

    def extract(self):
        self.remove(self.spool)
        sample = measure.run([self.bench.etlctl, "extract", "--config", self.config, "--quiet"])
        database = sqlite3.connect(self.spool)
        (rows,) = database.execute("SELECT sum(spooled) FROM routes").fetchone()
        database.close()
        if rows != self.rows:
            raise measure.Failed(f"{rows} of {self.rows} rows were spooled")
        return sample

    def write_payloads(self):
        """20,000 rows as they are in the spool, a line each: the floor takes them in turn, and is not measured reading a large file."""
        self.extract()
        self.payloads = self.folder / "payloads"
        database = sqlite3.connect(self.spool)
        with open(self.payloads, "wb") as file:
            # Of the middle: the first keys are shorter than most.
            rows = database.execute(
                "SELECT CAST(payload AS BLOB) FROM row_data WHERE row_id >= (SELECT min(row_id) + ? FROM row_data) LIMIT 20000",
                (self.rows // 2,),
            )
            for (payload,) in rows:
                file.write(payload + b"\n")
        (self.bytes_per_row,) = database.execute("SELECT avg(length(CAST(payload AS BLOB))) FROM row_data").fetchone()
        database.close()

    def insert(self):
        floor = self.folder / "floor.sqlite"
        self.remove(floor)
        program = self.bench.floor("sqlite_insert", "-lsqlite3", "-lz")
        sample = measure.run([program, floor, self.payloads, self.rows, ROWS_PER_COMMIT])
        self.remove(floor)
        return sample

    @staticmethod
    def remove(path):
        for suffix in ("", "-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)


def report(work, kind, samples, own):
    least = max(measure.median(samples[own]), measure.median(samples[INSERT]))
    memory = max(sample.memory for sample in samples[EXTRACT])
    return (
        measure.Report(
            f"Extract {work.rows:,} rows from {kind}",
            f"12 columns (integers, texts, decimals, times, JSON) over a unix socket; {work.bytes_per_row:.0f} bytes a row in the spool. "
            f"The C program inserts the same payloads, {ROWS_PER_COMMIT} to a commit, into a file of SQLite's default page size.",
        )
        .add(samples)
        .promise("wall time, of the larger floor's", measure.median(samples[EXTRACT]) / least, 1.5)
        .promise("peak memory", memory, 64, unit=" MB")
    )


EXTRACT = "etlctl extract"
INSERT = "C: the same payloads into SQLite"


def floors(bench):
    work = Extraction(bench, "postgres", databases.Postgres)
    work.write_payloads()
    copy = "COPY ... TO STDOUT > /dev/null"
    samples = measure.in_turns({EXTRACT: work.extract, copy: work.server.copy, INSERT: work.insert}, bench.rounds)
    yield report(work, "PostgreSQL", samples, copy)
    bench.stop_servers()
    work = Extraction(bench, "mysql", databases.MariaDB)
    work.write_payloads()
    dump = "mariadb --quick > /dev/null"
    samples = measure.in_turns({EXTRACT: work.extract, dump: work.server.dump, INSERT: work.insert}, bench.rounds)
    yield report(work, "MariaDB", samples, dump)


def peers(bench):
    work = Extraction(bench, "postgres", databases.Postgres)

    def sling():
        target = work.folder / "sling.sqlite"
        work.remove(target)
        program = next((measure.HERE.parent / ".venv-bench").glob("lib/*/site-packages/sling_linux_*/bin/sling-*"))
        sample = measure.run(
            [program, "run", "--src-conn", work.server.tcp + "?sslmode=disable", "--src-stream", "public.orders", "--tgt-conn",
             f"sqlite://{target}", "--tgt-object", "main.orders", "--mode", "full-refresh"],
            env={"HOME": str(work.folder), "SLING_HOME_DIR": str(work.folder / ".sling"), "SLING_DISABLE_TELEMETRY": "TRUE"},
        )
        database = sqlite3.connect(target)
        (rows,) = database.execute("SELECT count(*) FROM orders").fetchone()
        database.close()
        if rows != work.rows:
            raise measure.Failed(f"sling brought {rows} of {work.rows} rows")
        return sample

    def dlt():
        program = measure.HERE / "peers" / "dlt_extract.py"
        return measure.run([bench.python, program, work.server.tcp, work.rows, bench.folder("dlt")])

    contestants = {EXTRACT: work.extract, "sling, into SQLite": sling, "dlt, extract and normalize": dlt}
    samples = measure.in_turns(contestants, bench.rounds)
    own = measure.median(samples[EXTRACT])
    yield (
        measure.Report(
            f"Extract {work.rows:,} rows from PostgreSQL, beside sling and dlt",
            "dlt with its default backend (SQLAlchemy); it is stopped before it would load.",
        )
        .add(samples)
        .promise("times as fast as sling", measure.median(samples["sling, into SQLite"]) / own, 4, at_least=True)
        .promise("times as fast as dlt", measure.median(samples["dlt, extract and normalize"]) / own, 15, at_least=True)
    )
