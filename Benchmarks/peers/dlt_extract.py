"""Extracts the table `orders` with dlt and normalizes it; what would be loaded is counted and left.

    dlt_extract.py URL ROWS FOLDER
"""

import os
import sys

url, rows, folder = sys.argv[1], int(sys.argv[2]), sys.argv[3]
os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
os.environ["DLT_DATA_DIR"] = folder

import dlt
from dlt.sources.sql_database import sql_table

pipeline = dlt.pipeline("bench", destination=dlt.destinations.filesystem(f"file://{folder}/out"), pipelines_dir=f"{folder}/pipelines")
pipeline.extract(sql_table(url.replace("postgresql://", "postgresql+psycopg2://"), "orders"))
pipeline.normalize()
found = pipeline.last_trace.last_normalize_info.row_counts["orders"]
if found != rows:
    sys.exit(f"{found} of {rows} rows")
