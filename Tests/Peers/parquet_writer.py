"""Writes one table to Parquet in many ways into the folder given, and prints what its rows must become, one JSON object a line."""

import datetime
import decimal
import json
import random
import sys
import uuid

import pyarrow as pa
import pyarrow.parquet as pq

ROWS = 1200
random.seed(7)


def sometimes(value, index, every=5):
    return None if index % every == 3 else value


def text(index):
    return "".join(random.choice("aä\"\\\n→z0") for _ in range(index % 23))


EPOCH = datetime.datetime(1970, 1, 1)


def moment(index):
    return EPOCH + datetime.timedelta(microseconds=(index * 7_919_000_123_457) % 250_000_000_000_000_000 - 60_000_000_000_000_000)


def fraction(micros):
    return ("." + f"{micros:06d}".rstrip("0")) if micros else ""


def iso(value):
    return value.strftime("%Y").rjust(4, "0") + value.strftime("-%m-%dT%H:%M:%S") + fraction(value.microsecond)


def number(value):
    return value if abs(value) <= 2**53 - 1 else str(value)


def compact(value):
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)


def column(name, type_, values, expected):
    return name, type_, values, [None if v is None else expected(v) for v in values]


def columns():
    indexes = range(ROWS)
    ints = [random.randrange(-2**63, 2**63) if i % 3 else i for i in indexes]
    yield column("i64", pa.int64(), [sometimes(v, i) for i, v in enumerate(ints)], number)
    yield column("required", pa.int64(), list(indexes), number)
    for bits in (8, 16, 32):
        yield column(f"i{bits}", pa.int(bits) if hasattr(pa, "int") else getattr(pa, f"int{bits}")(),
                     [sometimes(random.randrange(-2**(bits - 1), 2**(bits - 1)), i) for i in indexes], number)
        yield column(f"u{bits}", getattr(pa, f"uint{bits}")(),
                     [sometimes(random.randrange(0, 2**bits), i) for i in indexes], number)
    yield column("u64", pa.uint64(), [sometimes(random.randrange(0, 2**64), i) for i in indexes], str)
    yield column("flag", pa.bool_(), [sometimes(i % 7 < 3, i) for i in indexes], bool)
    yield column("double", pa.float64(), [sometimes(random.uniform(-1e6, 1e6), i) for i in indexes], float)
    yield column("half", pa.float32(), [sometimes(i / 4, i) for i in indexes], float)
    yield column("text", pa.string(), [sometimes(text(i), i) for i in indexes], str)
    yield column("repeated", pa.string(), [sometimes(f"word {i % 5}", i) for i in indexes], str)
    yield column("nothing", pa.string(), [None for _ in indexes], str)
    yield column("bytes", pa.binary(), [sometimes(bytes([i % 256] * (i % 5)), i) for i in indexes],
                 lambda v: __import__("base64").b64encode(v).decode())
    yield column("fixed", pa.binary(3), [sometimes(bytes([i % 256, 0, 255]), i) for i in indexes],
                 lambda v: __import__("base64").b64encode(v).decode())
    yield column("day", pa.date32(), [sometimes(moment(i).date(), i) for i in indexes],
                 lambda v: f"{v.year:04d}-{v.month:02d}-{v.day:02d}")
    yield column("micros", pa.timestamp("us", tz="UTC"), [sometimes(moment(i), i) for i in indexes], lambda v: iso(v) + "Z")
    yield column("millis", pa.timestamp("ms"),
                 [sometimes(moment(i).replace(microsecond=i % 1000 * 1000), i) for i in indexes], iso)
    yield column("clock", pa.time64("us"), [sometimes(moment(i).time(), i) for i in indexes],
                 lambda v: v.strftime("%H:%M:%S") + fraction(v.microsecond))
    for precision, scale in ((7, 2), (18, 4), (29, 9), (38, 10), (50, 20)):
        kind = pa.decimal128(precision, scale) if precision <= 38 else pa.decimal256(precision, scale)
        with decimal.localcontext() as context:
            context.prec = 80
            values = [sometimes(decimal.Decimal(random.randrange(-10**precision + 1, 10**precision)).scaleb(-scale), i)
                      for i in indexes]
        yield column(f"d{precision}", kind, values, lambda v: format(v, "f"))
    yield column("list", pa.list_(pa.int32()),
                 [sometimes([sometimes(j, j) for j in range(i % 4)], i) for i in indexes], compact)
    yield column("lists", pa.list_(pa.list_(pa.string())),
                 [sometimes([sometimes(["x" * k for k in range(j)], j, 2) for j in range(i % 4)], i) for i in indexes], compact)
    struct = pa.struct([("z", pa.int64()), ("a", pa.list_(pa.struct([("q", pa.string()), ("b", pa.bool_())])))])
    yield column("struct", struct,
                 [sometimes({"z": sometimes(i, i, 4),
                             "a": sometimes([{"q": f"{j}", "b": sometimes(True, j, 4)} for j in range(i % 3)], i, 7)}, i)
                  for i in indexes], compact)
    yield column("map", pa.map_(pa.string(), pa.int64()),
                 [sometimes([(f"k{9 - j}", sometimes(j, j, 4)) for j in range(i % 4)], i) for i in indexes],
                 lambda v: compact(dict(v)))
    yield column("pairs", pa.map_(pa.int32(), pa.string()),
                 [sometimes([(j, f"v{j}") for j in range(i % 3)], i) for i in indexes],
                 lambda v: "[" + ",".join(f'{{"key":{k},"value":"{w}"}}' for k, w in v) + "]")


def variants(names):
    for codec in ("none", "snappy", "gzip", "zstd", "lz4", "brotli"):
        yield f"codec-{codec}", {"compression": codec}
    for version in ("1.0", "2.0"):
        yield f"pages-{version}", {"data_page_version": version, "compression": "snappy", "data_page_size": 512,
                                   "row_group_size": 333, "write_batch_size": 50}
        yield f"plain-{version}", {"data_page_version": version, "use_dictionary": False, "data_page_size": 2000}
    delta = {"i64": "DELTA_BINARY_PACKED", "required": "DELTA_BINARY_PACKED", "i32": "DELTA_BINARY_PACKED",
             "micros": "DELTA_BINARY_PACKED", "text": "DELTA_BYTE_ARRAY", "repeated": "DELTA_LENGTH_BYTE_ARRAY",
             "fixed": "DELTA_BYTE_ARRAY", "bytes": "DELTA_LENGTH_BYTE_ARRAY", "flag": "RLE", "double": "BYTE_STREAM_SPLIT",
             "half": "BYTE_STREAM_SPLIT", "d38": "BYTE_STREAM_SPLIT", "u64": "BYTE_STREAM_SPLIT",
             "list.list.element": "DELTA_BINARY_PACKED"}
    for version in ("1.0", "2.0"):
        yield f"encodings-{version}", {"use_dictionary": False, "column_encoding": delta, "data_page_version": version,
                                       "data_page_size": 700, "write_batch_size": 64, "compression": "zstd"}
        # For damage that no codec notices.
        yield f"bare-{version}", {"use_dictionary": False, "column_encoding": delta, "data_page_version": version,
                                  "data_page_size": 700, "write_batch_size": 64, "compression": "none"}
    yield "legacy", {"version": "1.0", "compression": "snappy", "use_compliant_nested_type": False}
    yield "checksums", {"write_page_checksum": True, "write_page_index": True}
    yield "decimals", {"store_decimal_as_integer": True}


def main():
    folder = sys.argv[1]
    described = list(columns())
    schema = pa.schema([pa.field(name, kind, nullable=name != "required") for name, kind, _, _ in described])
    table = pa.table([pa.array(values, kind) for _, kind, values, _ in described], schema=schema)
    names = [name for name, _, _, _ in described]
    for name, options in variants(names):
        pq.write_table(table, f"{folder}/{name}.parquet", **options)
    for index in range(ROWS):
        print(json.dumps({name: expected[index] for name, _, _, expected in described}, ensure_ascii=False))
    special = pa.table({
        "nanos": pa.array([1, 1_700_000_000_123_456_789, None, 1000], pa.timestamp("ns", tz="UTC")),
        "float": pa.array([float("nan"), float("inf"), float("-inf"), -0.0], pa.float64()),
        "half": pa.array([1.5, 65504.0, None, 6.103515625e-05], pa.float16()),
        "id": pa.array([uuid.UUID(int=i).bytes for i in range(4)], pa.uuid()),
        "json": pa.array(['{"b":1, "a":[ 1.50 ]}', "nonsense", None, '"x"'], pa.json_()),
        "late": pa.array([2**62, -2**62, 0, None], pa.timestamp("us")),
    })
    pq.write_table(special, f"{folder}/special.parq")
    legacy = pa.table({"old": pa.array([0, 1_700_000_000_123_456_000, None, -1_000], pa.timestamp("ns"))})
    pq.write_table(legacy, f"{folder}/int96.parq", use_deprecated_int96_timestamps=True)
    pq.write_table(table.slice(0, 0), f"{folder}/empty.parq")


main()
