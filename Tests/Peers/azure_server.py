"""A stand-in for Azure Blob Storage on a free port of loopback, for which no emulator can be installed.

It knows containers, block blobs, listings in pages, ranges and conditions, and verifies every signature with the code of Azure's own SDK:
Shared Key by its authentication policy, shared access signatures by making them again. Two tokens are known: `entra` is good, others are not.
"""

import base64
import datetime
import email.utils
import hashlib
import threading
import types
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, quote, unquote, urlsplit
from xml.sax.saxutils import escape

from azure.storage.blob import generate_container_sas
from azure.storage.blob._shared.authentication import SharedKeyCredentialPolicy

from peer import announce, end_with_parent

ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="

lock = threading.Lock()
containers = {}
counter = [0]


class Refusal(Exception):
    def __init__(self, status, code, message="The request was refused."):
        self.status, self.code, self.message = status, code, message


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments):
        pass

    def handle_one(self):
        length = int(self.headers.get("Content-Length") or 0)
        self.body = self.rfile.read(length) if length else b""
        self.url = urlsplit(self.path)
        self.query = {k.lower(): v[0] for k, v in parse_qs(self.url.query, keep_blank_values=True).items()}
        try:
            parts = self.url.path.split("/", 3)
            if len(parts) < 3 or parts[1] != ACCOUNT:
                raise Refusal(400, "InvalidUri")
            self.container = unquote(parts[2])
            self.blob = unquote(parts[3]) if len(parts) > 3 else None
            self.authorize()
            with lock:
                self.answer()
            self.send()
        except Refusal as refusal:
            body = (
                f'\ufeff<?xml version="1.0" encoding="utf-8"?><Error><Code>{refusal.code}</Code>'
                f"<Message>{refusal.message}\nRequestId:1\nTime:2</Message></Error>"
            ).encode()
            self.reply(refusal.status, {"x-ms-error-code": refusal.code, "Content-Type": "application/xml"}, body)
            self.send()

    do_GET = do_PUT = do_DELETE = do_HEAD = handle_one

    # Authorisation

    def authorize(self):
        header = self.headers.get("Authorization")
        if "sig" in self.query:
            return self.verify_signature()
        if header is None:
            if self.container == "public" and self.command == "GET":
                return
            raise Refusal(404, "ResourceNotFound", "The specified resource does not exist.")
        if header.startswith("Bearer "):
            if header != "Bearer entra":
                raise Refusal(401, "InvalidAuthenticationInfo", "Server failed to authenticate the request.")
            if not self.headers.get("x-ms-version"):
                raise Refusal(400, "MissingRequiredHeader")
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        sent = headers.pop("authorization")
        query = {
            unquote(name): value
            for name, _, value in (part.partition("=") for part in self.url.query.split("&") if part)
        }
        request = types.SimpleNamespace(
            http_request=types.SimpleNamespace(
                method=self.command, headers=headers, url=f"http://x{self.path}", query=query
            ),
            context=types.SimpleNamespace(transport=None),
        )
        date = headers.get("x-ms-date") or headers.get("date")
        moment = datetime.datetime.strptime(date, "%a, %d %b %Y %H:%M:%S GMT").replace(tzinfo=datetime.timezone.utc)
        if abs(datetime.datetime.now(datetime.timezone.utc) - moment) > datetime.timedelta(minutes=15):
            raise Refusal(403, "AuthenticationFailed", "The date is too far from the server's.")
        SharedKeyCredentialPolicy(ACCOUNT, KEY).on_request(request)
        if request.http_request.headers["Authorization"] != sent:
            raise Refusal(403, "AuthenticationFailed", "The MAC signature is not the same as any computed signature.")

    def verify_signature(self):
        token = generate_container_sas(
            ACCOUNT, self.container, account_key=KEY, permission=self.query["sp"], expiry=self.query["se"],
            start=self.query.get("st"), protocol=self.query.get("spr"),
        )
        expected = {k: v[0] for k, v in parse_qs(token).items()}
        if expected["sig"] != self.query["sig"]:
            raise Refusal(403, "AuthenticationFailed", "Signature did not match.")
        if self.query["se"] < datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"):
            raise Refusal(403, "AuthenticationFailed", "Signature not valid in the specified time frame.")
        if ("l" if self.blob is None else "r") not in self.query["sp"]:
            raise Refusal(403, "AuthorizationPermissionMismatch")

    # Operations

    def answer(self):
        if self.blob is None:
            if self.command == "PUT":
                containers.setdefault(self.container, {})
                return self.reply(201)
            if self.container not in containers:
                raise Refusal(404, "ContainerNotFound", "The specified container does not exist.")
            return self.list()
        if self.container not in containers:
            raise Refusal(404, "ContainerNotFound", "The specified container does not exist.")
        blobs = containers[self.container]
        if self.command == "PUT":
            return self.write(blobs)
        if self.blob not in blobs:
            raise Refusal(404, "BlobNotFound", "The specified blob does not exist.")
        content, tag, written = blobs[self.blob]
        self.check_match(tag)
        if self.command == "DELETE":
            del blobs[self.blob]
            return self.reply(202)
        self.read(content, tag, written)

    def check_match(self, tag):
        condition = self.headers.get("If-Match")
        if condition and condition != f'"{tag}"':
            raise Refusal(412, "ConditionNotMet", "The condition specified using HTTP conditional header(s) is not met.")

    def write(self, blobs):
        if self.headers.get("x-ms-blob-type") != "BlockBlob":
            raise Refusal(400, "MissingRequiredHeader")
        if self.headers.get("If-None-Match") == "*" and self.blob in blobs:
            raise Refusal(409, "BlobAlreadyExists", "The specified blob already exists.")
        self.check_match(blobs.get(self.blob, (None, None))[1])
        sum = self.headers.get("Content-MD5")
        if sum and sum != base64.b64encode(hashlib.md5(self.body).digest()).decode():
            raise Refusal(400, "Md5Mismatch", "The MD5 value specified in the request did not match.")
        counter[0] += 1
        tag = f"0x8D{counter[0]:013X}"
        blobs[self.blob] = (self.body, tag, email.utils.formatdate(usegmt=True))
        self.reply(201, {"ETag": f'"{tag}"', "Last-Modified": blobs[self.blob][2]})

    def read(self, content, tag, written):
        headers = {"ETag": f'"{tag}"', "Last-Modified": written, "x-ms-blob-type": "BlockBlob"}
        span = self.headers.get("x-ms-range") or self.headers.get("Range")
        if not span:
            return self.reply(200, headers, content)
        first, _, last = span.removeprefix("bytes=").partition("-")
        if int(first) >= len(content):
            raise Refusal(416, "InvalidRange", "The range specified is invalid.")
        end = min(int(last) + 1, len(content)) if last else len(content)
        headers["Content-Range"] = f"bytes {first}-{end - 1}/{len(content)}"
        self.reply(206, headers, content[int(first):end])

    def list(self):
        prefix, marker = self.query.get("prefix", ""), self.query.get("marker", "")
        size = int(self.query.get("maxresults", 5000))
        if not 1 <= size <= 5000:
            raise Refusal(400, "OutOfRangeQueryParameterValue")
        blobs = containers[self.container]
        names = sorted(n for n in blobs if n.startswith(prefix))
        first = int(marker.removeprefix("2!")) if marker else 0
        page = names[first:first + size]
        entries = []
        for name in page:
            content, tag, _ = blobs[name]
            # What XML can't hold is encoded.
            odd = any(ord(c) < 0x20 or c in "\ufffe\uffff" for c in name)
            text = f'<Name Encoded="true">{quote(name)}</Name>' if odd else f"<Name>{escape(name)}</Name>"
            entries.append(
                f"<Blob>{text}<Properties><Last-Modified>Tue, 25 Nov 2025 14:57:57 GMT</Last-Modified>"
                f"<Etag>{tag}</Etag><Content-Length>{len(content)}</Content-Length><ResourceType>file</ResourceType>"
                f"<BlobType>BlockBlob</BlobType></Properties><OrMetadata /></Blob>"
            )
        entries.append(
            "<Blob><Name>folder</Name><Properties><Etag>0x1</Etag><Content-Length>0</Content-Length>"
            "<ResourceType>directory</ResourceType></Properties></Blob>"
        )
        following = f"2!{first + size}" if first + size < len(names) else ""
        body = (
            f'\ufeff<?xml version="1.0" encoding="utf-8"?><EnumerationResults ServiceEndpoint="http://x/" '
            f'ContainerName="{self.container}"><Prefix>{escape(prefix)}</Prefix><MaxResults>{size}</MaxResults>'
            f"<Blobs>{''.join(entries)}</Blobs><NextMarker>{following}</NextMarker></EnumerationResults>"
        ).encode()
        self.reply(200, {"Content-Type": "application/xml"}, body)

    def reply(self, status, headers=None, body=b""):
        self.answered = (status, headers, body)

    def send(self):
        """Without the lock: a client that reads slowly, or not at all, would hold up all others."""
        status, headers, body = self.answered
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("x-ms-version", "2021-08-06")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


end_with_parent()
ThreadingHTTPServer.request_queue_size = 128
server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
announce(server.server_address[1])
server.serve_forever()
