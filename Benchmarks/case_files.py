"""`etlctl extract` from CSV, JSON lines and Parquet into the spool, beside a C program that inserts the same payloads."""

import csv
import json
import subprocess
import sys

import measure
import records
from extraction import EXTRACT, INSERT, ROWS_PER_COMMIT, Extraction

FIELDS = [
    "id", "customer", "name", "email", "note", "quantity", "price", "rate", "paid", "created", "updated", "details",
]  # fmt: skip


def flat(record):
    return {**record, "details": json.dumps(record["details"], ensure_ascii=False, separators=(",", ":"))}


def write_csv(path, count):
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, FIELDS)
        writer.writeheader()
        writer.writerows(flat(record) for record in records.records(count))


def write_parquet(path, count):
    import pyarrow
    import pyarrow.parquet

    writer, batch = None, []
    source = records.records(count)
    for number in range(count):
        batch.append(flat(next(source)))
        if len(batch) == 100_000 or number == count - 1:
            table = pyarrow.Table.from_pylist(batch)
            writer = writer or pyarrow.parquet.ParquetWriter(path, table.schema, compression="snappy")
            writer.write_table(table)
            batch = []
    writer.close()


FORMATS = {"csv": "write_csv", "jsonl": "records.write_json_lines", "parquet": "write_parquet"}


def beside(function, *arguments, module="case_files"):
    """Calls a function of a case in another process: the kernel counts a process's peak memory from that of the one that started it, which
    must stay small."""
    code = f"import {module}; {module}.{function}"
    words = ", ".join(repr(str(word) if hasattr(word, "parts") else word) for word in arguments)
    subprocess.run([sys.executable, "-c", f"{code}({words})"], check=True, cwd=measure.HERE)


class FileExtraction(Extraction):
    """One file of a format."""

    def __init__(self, bench, kind, name):
        super().__init__(bench, name, bench.rows(1_000_000), "type: files, url: data", 'from: "*"')
        (self.folder / "data").mkdir()
        self.file = self.folder / "data" / f"orders.{kind}"


def floors(bench):
    for kind, write in FORMATS.items():
        work = FileExtraction(bench, kind, kind)
        beside(write, work.file, work.rows)
        work.write_payloads()
        samples = measure.in_turns({EXTRACT: work.extract, INSERT: work.insert}, bench.rounds)
        ratio = measure.median(samples[EXTRACT]) / measure.median(samples[INSERT])
        yield (
            measure.Report(
                f"Extract {work.rows:,} rows from a file ({kind})",
                f"12 fields, {work.file.stat().st_size / 1e6:.0f} MB; {work.bytes_per_row:.0f} bytes a row in the spool. The C program "
                f"inserts the same payloads, {ROWS_PER_COMMIT} to a commit, into a file of SQLite's default page size.",
            )
            .add(samples)
            .promise("wall time, of the C program's", ratio, 1.3)
        )
        bench.folder(kind)
