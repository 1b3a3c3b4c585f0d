"""botocore's signatures of the requests on standard input, as one JSON array of Authorization headers."""

import datetime
import json
import sys

import botocore.auth
from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

cases = json.load(sys.stdin)
answers = []
for case in cases:
    moment = datetime.datetime.strptime(case["time"], "%Y%m%dT%H%M%SZ").replace(tzinfo=datetime.timezone.utc)
    # botocore has one function for the clock, under two names over its versions.
    for name in ("get_current_datetime",):
        if hasattr(botocore.auth, name):
            setattr(botocore.auth, name, lambda *a, **k: moment.replace(tzinfo=None))
    request = AWSRequest(
        method=case["method"], url=case["url"], headers=dict(case["headers"]), data=case["body"].encode()
    )
    credentials = Credentials(case["id"], case["secret"], case.get("token"))
    signer = S3SigV4Auth if case["service"] == "s3" else SigV4Auth
    request.context["timestamp"] = case["time"]
    request.context["payload_signing_enabled"] = True
    signer(credentials, case["service"], case["region"]).add_auth(request)
    answers.append(request.headers["Authorization"])
json.dump(answers, sys.stdout)
