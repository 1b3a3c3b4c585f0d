"""`etlctl extract` from CSV, JSON lines and Parquet into the spool, beside a C program that inserts the same payloads; and the memory that a
file of 5 GB takes."""

import csv
import json
import os
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


def write_large(kind, path, part, times):
    """The rows of one file again and again."""
    if kind == "csv":
        with open(path, "wb") as file:
            head, body = open(part, "rb").read().split(b"\r\n", 1)
            file.write(head + b"\r\n")
            for _ in range(times):
                file.write(body)
        return
    import pyarrow.parquet

    table = pyarrow.parquet.read_table(part)
    with pyarrow.parquet.ParquetWriter(path, table.schema, compression="snappy") as writer:
        for _ in range(times):
            writer.write_table(table, row_group_size=1_000_000)


def beside(function, *arguments):
    """Calls a function of this file in another process: the kernel counts a process's peak memory from that of the one that started it, which
    must stay small."""
    code = f"import case_files; case_files.{function}"
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
    for kind in ("csv", "parquet"):
        yield large(bench, kind)


def large(bench, kind):
    """One run over a file of 5 GB: the same rows again and again."""
    work = FileExtraction(bench, kind, f"large-{kind}")
    target = int(5e9 * bench.scale)
    part = work.folder / f"part.{kind}"
    rows = bench.rows(1_000_000)
    beside(FORMATS[kind], part, rows)
    times = -(-target // part.stat().st_size)
    beside("write_large", kind, work.file, part, times)
    part.unlink()
    work.rows = rows * times
    size = os.path.getsize(work.file)
    sample = work.extract()
    bench.folder(f"large-{kind}")
    return (
        measure.Report(f"Extract a large file ({kind})", f"{size / 1e9:.2f} GB, {work.rows:,} rows, one run.")
        .add({EXTRACT: [sample]})
        .promise("peak memory", sample.memory, 96, unit=" MB")
    )
