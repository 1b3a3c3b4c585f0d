"""A private Firestore emulator with a collection of orders, and the requests that a reader sends to it, to be sent again by curl."""

import http.client
import http.server
import itertools
import json
import pathlib
import random
import shutil
import subprocess
import sys
import time

import measure
import records

PROJECT = "bench"
ROOT = f"projects/{PROJECT}/databases/(default)/documents"
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
JSON = {"Content-Type": "application/json", "Authorization": "Bearer owner"}
DOCUMENTS_PER_COMMIT = 500


def typed(value):
    """A value as Firestore's REST interface spells it."""
    if value is None:
        return {"nullValue": None}
    if isinstance(value, bool):
        return {"booleanValue": value}
    if isinstance(value, int):
        return {"integerValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value}
    if isinstance(value, list):
        return {"arrayValue": {"values": [typed(item) for item in value]}}
    if isinstance(value, dict):
        return {"mapValue": {"fields": {key: typed(item) for key, item in value.items()}}}
    return {"stringValue": value}


def documents(count):
    """Writes of `count` documents with ids as Firestore makes them, the same in every run."""
    source = random.Random(20261125)
    for record in records.records(count):
        fields = {key: typed(value) for key, value in record.items()}
        for key in ("created", "updated"):
            fields[key] = {"timestampValue": record[key]}
        fields["customer"] = {"referenceValue": f"{ROOT}/customers/{record['customer']}"}
        yield {"update": {"name": f"{ROOT}/orders/{''.join(source.choices(LETTERS, k=20))}", "fields": fields}}


class Emulator:
    """Google's emulator, on a free port, with `count` documents in `orders`."""

    def __init__(self, bench, count):
        program = shutil.which("gcloud")
        if program is None:
            raise measure.Failed("gcloud is not installed: its Firestore emulator is what is read")
        self.port = bench.free_port()
        self.host = f"127.0.0.1:{self.port}"
        bench.serve([program, "emulators", "firestore", "start", f"--host-port={self.host}"], self.port, seconds=90)
        self.await_answer()
        # In a process of its own: the kernel counts what this one holds as the peak memory of those it starts.
        subprocess.run([sys.executable, __file__, "fill", str(self.port), str(count)], check=True)

    def await_answer(self):
        until = time.monotonic() + 60
        while time.monotonic() < until:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
            try:
                connection.request("GET", "/")
                if connection.getresponse().status == 200:
                    return
            except (OSError, http.client.HTTPException):
                time.sleep(0.1)
            finally:
                connection.close()
        raise measure.Failed("the Firestore emulator does not answer")

    def serve_recorder(self, bench, folder):
        """Starts a proxy to the emulator that keeps the bodies of queries for whole documents in `folder`. Returns its host and port."""
        port = bench.free_port()
        bench.serve([sys.executable, __file__, "record", self.port, port, folder], port)
        return f"127.0.0.1:{port}"


def fill(port, count):
    connection = http.client.HTTPConnection("127.0.0.1", port)
    writes = documents(count)
    for portion in iter(lambda: list(itertools.islice(writes, DOCUMENTS_PER_COMMIT)), []):
        connection.request("POST", f"/v1/{ROOT}:commit", json.dumps({"writes": portion}), JSON)
        answer = connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            sys.exit(f"a commit to the emulator ended with {answer.status}: {body[:500]}")


def record(upstream_port, port, folder):
    numbers = itertools.count()

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if b'"select"' not in body and ":runQuery" in self.path:
                (pathlib.Path(folder) / f"page{next(numbers):06}").write_bytes(body)
            upstream = http.client.HTTPConnection("127.0.0.1", upstream_port)
            upstream.request("POST", self.path, body, JSON)
            answer = upstream.getresponse()
            content = answer.read()
            upstream.close()
            self.send_response(answer.status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_):
            pass

    http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()


if __name__ == "__main__":
    if sys.argv[1] == "fill":
        fill(int(sys.argv[2]), int(sys.argv[3]))
    else:
        record(int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
