"""Writes Parquet files of odd names and values into the folder given.

Prints one JSON object for each decimal, in the order of the files' rows: {"file", "text", "fits"}, whether BIGNUMERIC can hold it.
"""

import decimal
import json
import sys

import pyarrow as pa
import pyarrow.parquet as pq

folder = sys.argv[1]
COMPOSED, DECOMPOSED = "\u00e9", "e\u0301"


def write(name, table):
    pq.write_table(table, f"{folder}/{name}.parquet")


write("names", pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=[COMPOSED, DECOMPOSED]))

maps = [
    [("\\", 5), ("a", 6), ("\n", 2), ("G", 4), ("\x01", 1), ("A", 3), ("", 7), ('"', 0), ('"', 8)],
    [(COMPOSED, 1), (DECOMPOSED, 2)],
]
write("maps", pa.table({"m": pa.array(maps, pa.map_(pa.string(), pa.int64()))}))

with decimal.localcontext() as context:
    context.prec = 200
    scaled = {
        "d0": (76, 0, [0, 7, 10**38, 57 * 10**37, -57 * 10**37, 10**39, -(2**255) // 10**38, (2**255 - 1) // 10**38]),
        "d38": (76, 38, [0, 10**75, -5789 * 10**72, 1, 2 * 10**38]),
        "d50": (76, 50, [0, 10**50, -25 * 10**49, 1, 10**12, -(10**11), 12345 * 10**12, 99999 * 10**71]),
        "d76": (76, 76, [0, 10**75, 1, 10**38, 10**37]),
        "d9": (38, 9, [0, -(10**37), 123]),
    }
    for name, (precision, scale, numbers) in scaled.items():
        values = [decimal.Decimal(number).scaleb(-scale) for number in numbers]
        kind = pa.decimal128 if precision <= 38 else pa.decimal256
        write(name, pa.table({"d": pa.array(values, kind(precision, scale))}))
        for number, value in zip(numbers, values):
            unit = 10 ** max(scale - 38, 0)
            fits = number % unit == 0 and -(2**255) <= number // unit * 10 ** max(38 - scale, 0) < 2**255
            print(json.dumps({"file": f"{name}.parquet", "text": f"{value:.{scale}f}", "fits": fits}))
