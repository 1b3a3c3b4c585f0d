"""Google's client, as a script would use it: streams a collection and writes a flat row of JSON for each document, to nowhere.

firestore_flatten.py PROJECT COLLECTION DOCUMENTS
"""

import base64
import datetime
import json
import os
import sys

from google.cloud import firestore

project, collection, expected = sys.argv[1], sys.argv[2], int(sys.argv[3])


def plain(value):
    if isinstance(value, datetime.datetime):
        return value.isoformat()
    if isinstance(value, firestore.DocumentReference):
        return value.path
    if isinstance(value, firestore.GeoPoint):
        return f"POINT({value.longitude} {value.latitude})"
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    raise TypeError(type(value))


client = firestore.Client(project=project)
count = 0
with open(os.devnull, "w", encoding="utf-8") as out:
    for snapshot in client.collection(collection).order_by("__name__").stream():
        row = {
            "_id": snapshot.id,
            "_path": snapshot.reference.path,
            "_created_at": snapshot.create_time.isoformat(),
            "_updated_at": snapshot.update_time.isoformat(),
        }
        for name, value in snapshot.to_dict().items():
            nested = isinstance(value, (dict, list))
            row[name] = json.dumps(value, default=plain, ensure_ascii=False) if nested else value
        out.write(json.dumps(row, default=plain, ensure_ascii=False) + "\n")
        count += 1
if count != expected:
    sys.exit(f"{count} of {expected} documents")
