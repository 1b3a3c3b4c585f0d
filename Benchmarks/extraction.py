"""What the cases that fill a spool share: the run that is measured, the payloads it leaves, and the C program that inserts the same."""

import sqlite3

import measure

ROWS_PER_COMMIT = 2000
EXTRACT, INSERT = "etlctl extract", "C: the same payloads into SQLite"


class Extraction:
    """A folder with a configuration whose one stream `orders` is read into a spool."""

    def __init__(self, bench, name, rows, source, stream):
        self.bench = bench
        self.rows = rows
        self.folder = bench.folder(name)
        self.config = self.folder / "etl.yaml"
        self.config.write_text(
            f"spool: {{path: spool.sqlite, max_size: 100GiB}}\n"
            f'destination: {{project: p, dataset: d, endpoint: "http://127.0.0.1:9"}}\n'
            f"sources: {{shop: {{{source}}}}}\n"
            f"streams: {{orders: {{source: shop, mode: full, {stream}}}}}\n"
        )
        self.spool = self.folder / "spool.sqlite"

    def extract(self, env=None):
        self.remove(self.spool)
        sample = measure.run([self.bench.etlctl, "extract", "--config", self.config, "--quiet"], env=env)
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
