"""A container's shared access signature, by Azure's own SDK. Arguments: account, key, container, permissions, seconds it lasts."""

import datetime
import sys

from azure.storage.blob import generate_container_sas

account, key, container, permissions, seconds = sys.argv[1:]
print(
    generate_container_sas(
        account, container, account_key=key, permission=permissions,
        expiry=datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=int(seconds)),
    ),
    end="",
)
