"""The memory that `etlctl extract` takes for a file of 5 GB, CSV and Parquet. Needs some 40 GB of disk for a while: a million rows of
Parquet are 0.6 GB in the spool."""

import os

import measure
from case_files import FORMATS, FileExtraction, beside
from extraction import EXTRACT


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


def floors(bench):
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
    beside("write_large", kind, work.file, part, times, module="case_large_files")
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
