#!/usr/bin/env python3
"""Writes the demo's documents into a Firestore emulator: `memos`, with every kind of value Firestore has.

demo_memos.py write HOST PROJECT COUNT      COUNT memos; last_modified is mostly a timestamp, sometimes something else
demo_memos.py change HOST PROJECT NUMBER    changes NUMBER of them
demo_memos.py compare HOST PROJECT ROWS     compares the source with rows (JSON lines of a table), value by value
demo_memos.py lines NUMBER PROJECT COUNT    prints the same documents as JSON lines, NUMBER of them changed
"""

import base64
import json
import sys
import urllib.request


def call(host, path, body):
    request = urllib.request.Request(
        f"http://{host}/v1/{path}",
        json.dumps(body).encode(),
        {"Content-Type": "application/json", "Authorization": "Bearer owner"},
    )
    with urllib.request.urlopen(request) as reply:
        return json.load(reply)


def root(project):
    return f"projects/{project}/databases/(default)/documents"


def last_modified(number):
    """Seven of ten are timestamps; the rest is what real collections hold after some years."""
    kind = number % 20
    if kind < 14:
        return {"timestampValue": f"2025-11-{1 + number % 24:02d}T{number % 24:02d}:57:57.{number % 1000:03d}Z"}
    return [
        {"stringValue": "2025-11-20T08:30:00Z"},
        {"stringValue": "yesterday"},
        {"integerValue": str(1_763_000_000 + number)},
        {"mapValue": {"fields": {"seconds": {"integerValue": "1763000000"}, "nanos": {"integerValue": "0"}}}},
        {"nullValue": None},
        None,
    ][kind - 14]


def memo(project, number):
    fields = {
        "title": {"stringValue": f'Memo {number}: "quoted", back\\slash, tab\t, é, 😀'},
        "number": {"integerValue": str(number)},
        "largest": {"integerValue": "9223372036854775807"},
        "ratio": {"doubleValue": number / 7},
        "not_a_number": {"doubleValue": "NaN"},
        "done": {"booleanValue": number % 2 == 0},
        "nothing": {"nullValue": None},
        "attachment": {"bytesValue": base64.b64encode(bytes([number % 256, 0, 255])).decode()},
        "owner": {"referenceValue": f"{root(project)}/users/user{number % 7}"},
        "place": {"geoPointValue": {"latitude": 48.137, "longitude": 11.575}},
        "tags": {"arrayValue": {"values": [{"stringValue": "a"}, {"integerValue": str(number)}]}},
        "details": {"mapValue": {"fields": {"b.c": {"stringValue": "dotted"}, "a": {"arrayValue": {}}}}},
        "embedding": {
            "mapValue": {
                "fields": {
                    "__type__": {"stringValue": "__vector__"},
                    "value": {"arrayValue": {"values": [{"doubleValue": 0.5}, {"doubleValue": number / 3}]}},
                }
            }
        },
        "created": {"timestampValue": f"2024-02-29T12:00:00.{number % 1000:03d}Z"},
    }
    value = last_modified(number)
    if value is not None:
        fields["last_modified"] = value
    return {"name": f"{root(project)}/memos/memo{number:05d}", "fields": fields}


def write(host, project, count):
    for start in range(0, count, 200):
        numbers = range(start, min(start + 200, count))
        call(host, f"{root(project)}:commit", {"writes": [{"update": memo(project, n)} for n in numbers]})


def change(host, project, number):
    writes = []
    for n in range(number):
        document = memo(project, n * 40)
        document["fields"]["title"] = {"stringValue": f"Memo {n * 40}, changed"}
        document["fields"]["last_modified"] = {"timestampValue": f"2025-11-25T10:00:{n:02d}Z"}
        writes.append({"update": document})
    call(host, f"{root(project)}:commit", {"writes": writes})


def nested(value, project):
    (kind, content), = value.items()
    if kind == "nullValue":
        return None
    if kind == "integerValue":
        number = int(content)
        return number if abs(number) < 2**53 else content
    if kind == "arrayValue":
        return [nested(item, project) for item in content.get("values", [])]
    if kind == "mapValue":
        fields = content.get("fields", {})
        if "__type__" in fields:
            return nested(fields["value"], project)
        return {name: nested(item, project) for name, item in fields.items()}
    if kind == "referenceValue":
        return content.removeprefix(root(project) + "/")
    if kind == "timestampValue":
        return content.replace(".000Z", "Z").rstrip("Z").rstrip("0").rstrip(".") + "Z" if "." in content else content
    return content


def top_level(value, project):
    (kind, content), = value.items()
    if kind in ("arrayValue", "mapValue"):
        return json.dumps(nested(value, project), separators=(",", ":"), ensure_ascii=False, sort_keys=True)
    if kind == "geoPointValue":
        return f"POINT({float(content.get('longitude', 0))} {float(content.get('latitude', 0))})"
    return nested(value, project)


def lines(changed, project, count):
    """The same memos as JSON lines, for machines without an emulator."""
    for number in range(count):
        document = memo(project, number)
        fields = {name: nested(value, project) for name, value in document["fields"].items()}
        if number % 40 == 0 and number // 40 < changed:
            fields["title"] = f"Memo {number}, changed"
        print(json.dumps({"id": f"memo{number:05d}", **fields}, ensure_ascii=False))


def same(expected, actual):
    """Equal as values: BigQuery and the emulator print numbers and fractions of seconds in other ways."""
    if expected == actual or str(expected).lower() == str(actual).lower():
        return True
    try:
        return float(expected) == float(actual)
    except (TypeError, ValueError):
        pass
    try:
        return json.loads(expected) == json.loads(actual)
    except (TypeError, ValueError):
        return False


def compare(host, project, path):
    """The newest row of every document must hold its values, or have them in _rescued."""
    rows = {}
    for line in open(path, encoding="utf-8"):
        row = json.loads(line)
        if row["_path"] not in rows or row["_extracted_at"] > rows[row["_path"]]["_extracted_at"]:
            rows[row["_path"]] = row
    query = {"structuredQuery": {"from": [{"collectionId": "memos"}]}}
    documents = [e["document"] for e in call(host, f"{root(project)}:runQuery", query) if "document" in e]
    wrong = rescued = 0
    for document in documents:
        row = rows.pop(document["name"].removeprefix(root(project) + "/"), None)
        if row is None:
            wrong += 1
            continue
        aside = json.loads(row.get("_rescued") or "{}")
        rescued += len(aside)
        for name, value in document.get("fields", {}).items():
            expected = top_level(value, project)
            actual = aside[name] if name in aside else row.get(name)
            if not same(expected, actual):
                wrong += 1
                print(f"{document['name']}: {name}: {expected!r} became {actual!r}")
    wrong += len(rows)
    print(f"{len(documents)} documents compared value by value, {rescued} values in _rescued, {wrong} differences")
    return 1 if wrong else 0


if __name__ == "__main__":
    command, host, project, argument = sys.argv[1:5]
    if command == "compare":
        sys.exit(compare(host, project, argument))
    if command == "lines":
        lines(int(host), project, int(argument))
        sys.exit(0)
    {"write": write, "change": change}[command](host, project, int(argument))
