"""Writes a small file that unpacks to a CSV of 400 MB. Argument: its path, ending in `.gz` or `.zst`."""

import sys

import pyarrow as pa

path = sys.argv[1]
with pa.output_stream(path, compression="gzip" if path.endswith(".gz") else "zstd") as out:
    out.write(b"a\n")
    for _ in range(400):
        out.write((b"a" * 499_999 + b"\n") * 2)
