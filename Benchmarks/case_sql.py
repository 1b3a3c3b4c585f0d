"""`etlctl extract` from PostgreSQL and from MariaDB into the spool, beside the servers' own copies and a C program that inserts the same
payloads; and beside sling and dlt."""

import sqlite3

import databases
import measure
from extraction import EXTRACT, INSERT, ROWS_PER_COMMIT, Extraction


class ServerExtraction(Extraction):
    """A table of 12 columns on a server of one kind."""

    def __init__(self, bench, kind, server):
        self.server = server(bench, bench.rows(1_000_000))
        super().__init__(
            bench, f"extract-{kind}", bench.rows(1_000_000), f'type: {kind}, url: "{self.server.url}"', "from: orders"
        )


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


def floors(bench):
    work = ServerExtraction(bench, "postgres", databases.Postgres)
    work.write_payloads()
    copy = "COPY ... TO STDOUT > /dev/null"
    samples = measure.in_turns({EXTRACT: work.extract, copy: work.server.copy, INSERT: work.insert}, bench.rounds)
    yield report(work, "PostgreSQL", samples, copy)
    bench.stop_servers()
    work = ServerExtraction(bench, "mysql", databases.MariaDB)
    work.write_payloads()
    dump = "mariadb --quick > /dev/null"
    samples = measure.in_turns({EXTRACT: work.extract, dump: work.server.dump, INSERT: work.insert}, bench.rounds)
    yield report(work, "MariaDB", samples, dump)


def peers(bench):
    work = ServerExtraction(bench, "postgres", databases.Postgres)

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
