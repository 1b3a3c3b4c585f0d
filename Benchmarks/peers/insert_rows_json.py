"""Google's client, as a script would use it: insert_rows_json, one request after the other.

insert_rows_json.py URL PAYLOADS ROWS ROWS_PER_REQUEST
"""

import itertools
import json
import sys

from google.api_core.client_options import ClientOptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery

url, path, total, size = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
client = bigquery.Client(project="p", credentials=AnonymousCredentials(), client_options=ClientOptions(api_endpoint=url))
rows = [json.loads(line) for line in open(path, "rb")]
source = itertools.cycle(rows)
sent = 0
while sent < total:
    batch = list(itertools.islice(source, min(size, total - sent)))
    errors = client.insert_rows_json("p.d.orders", batch, row_ids=[str(sent + i) for i in range(len(batch))])
    if errors:
        sys.exit(str(errors[:3]))
    sent += len(batch)
