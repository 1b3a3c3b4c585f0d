"""Google's client, as a script would use it: insert_rows_json with the ids it makes itself, one request after the other.

insert_rows_json.py URL JSON_LINES ROWS ROWS_PER_REQUEST [memory]

Reads the rows from the file as it goes; with `memory` it has the first 20,000 as dictionaries before it begins, and sends them again and
again.
"""

import itertools
import json
import sys

from google.api_core.client_options import ClientOptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery

url, path, total, size = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
client = bigquery.Client(project="p", credentials=AnonymousCredentials(), client_options=ClientOptions(api_endpoint=url))
rows = (json.loads(line) for line in open(path, "rb"))
if sys.argv[5:] == ["memory"]:
    rows = itertools.cycle(list(itertools.islice(rows, 20_000)))
sent = 0
while sent < total:
    batch = list(itertools.islice(rows, min(size, total - sent)))
    errors = client.insert_rows_json("p.d.orders", batch)
    if errors or not batch:
        sys.exit(str(errors[:3]))
    sent += len(batch)
