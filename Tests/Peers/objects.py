"""Makes buckets and objects with the vendors' own libraries.

Standard input: {"store", "endpoint", "account", "key", "steps": [["bucket", b], ["put", b, name, base64], ["delete", b, name]]}
"""

import base64
import json
import sys


def s3(order):
    import boto3
    from botocore.config import Config

    client = boto3.client(
        "s3",
        endpoint_url=order["endpoint"],
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(s3={"addressing_style": "path"}),
    )
    return {
        "bucket": lambda b: client.create_bucket(Bucket=b),
        "put": lambda b, n, d: client.put_object(Bucket=b, Key=n, Body=d),
        "delete": lambda b, n: client.delete_object(Bucket=b, Key=n),
    }


def gs(order):
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import storage

    client = storage.Client(
        project="test", credentials=AnonymousCredentials(), client_options={"api_endpoint": order["endpoint"]}
    )
    return {
        "bucket": lambda b: client.create_bucket(b),
        "put": lambda b, n, d: client.bucket(b).blob(n).upload_from_string(d),
        "delete": lambda b, n: client.bucket(b).blob(n).delete(),
    }


def az(order):
    from azure.storage.blob import BlobServiceClient

    client = BlobServiceClient(
        account_url=order["endpoint"], credential={"account_name": order["account"], "account_key": order["key"]}
    )
    return {
        "bucket": lambda b: client.create_container(b),
        "put": lambda b, n, d: client.get_blob_client(b, n).upload_blob(d, overwrite=True),
        "delete": lambda b, n: client.get_blob_client(b, n).delete_blob(),
    }


order = json.load(sys.stdin)
actions = {"s3": s3, "gs": gs, "az": az}[order["store"]](order)
for action, *arguments in order["steps"]:
    if action == "put":
        arguments[2] = base64.b64decode(arguments[2])
    actions[action](*arguments)
