"""Writes one table in every format and compression.

Standard input: {"folder", "forms": [...], "count": n} for that many rows, or "rows": [{"id", "updated_at", "note"}] instead of a count.
The first rows are the same for every count. A form is `csv`, `jsonl` (each also with `.gz` or `.zst`) or `CODEC.parquet`.
"""

import csv
import datetime
import io
import json
import random
import sys

import pyarrow as pa
import pyarrow.parquet as pq

EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)


def moment(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))


def made(count):
    random.seed(11)
    for index in range(count):
        fraction = ["", ".5", ".000001", ".123"][index % 4]
        yield {
            "big": 9223372036854775807 - index,
            "code": f"0{index}",
            "day": f"2024-02-{1 + index % 29:02}",
            "done": index % 3 == 0,
            "id": index + 1,
            "note": None if index % 7 == 3 else f'{random.getrandbits(64):x} "é😀",\n\\ {index}',
            "ratio": index + 0.25,
            "updated_at": f"2025-11-25T14:{index % 60:02}:57{fraction}Z",
        }


TYPES = {
    "big": pa.int64(), "code": pa.string(), "day": pa.date32(), "done": pa.bool_(), "id": pa.int64(), "note": pa.string(),
    "ratio": pa.float64(), "updated_at": pa.timestamp("us", tz="UTC"),
}


def as_csv(rows):
    out = io.StringIO()
    writer = csv.writer(out)
    names = list(rows[0])
    writer.writerow(names)
    for row in rows:
        # By name: the members of each row come in an order of their own.
        values = [row[name] for name in names]
        writer.writerow([str(v).lower() if isinstance(v, bool) else v for v in values])
    return out.getvalue().encode()


def as_lines(rows):
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def as_parquet(rows, path, codec):
    def cell(name, value):
        if value is None:
            return None
        return {"day": datetime.date.fromisoformat, "updated_at": moment}.get(name, lambda v: v)(value)

    table = pa.table({n: pa.array([cell(n, r[n]) for r in rows], TYPES[n]) for n in rows[0]})
    pq.write_table(table, path, compression=codec, row_group_size=max(len(rows) // 3, 1))


order = json.load(sys.stdin)
rows = order["rows"] if "rows" in order else list(made(order["count"]))
for form in order["forms"]:
    path = f"{order['folder']}/t.{form}"
    if form.endswith(".parquet"):
        as_parquet(rows, path, form.removesuffix(".parquet"))
        continue
    kind, _, packing = form.partition(".")
    content = {"csv": as_csv, "jsonl": as_lines}[kind](rows)
    compression = {"": None, "gz": "gzip", "zst": "zstd"}[packing]
    with pa.output_stream(path, compression=compression) as out:
        out.write(content)
