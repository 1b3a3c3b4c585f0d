"""moto's S3 and STS on a free port of loopback."""

import logging
import threading

from moto.s3.responses import S3Response
from moto.server import ThreadedMotoServer

from peer import announce, end_with_parent

# moto looks at a condition and then writes, with other threads in between; S3 does both in one.
writing = threading.Lock()
put_object = S3Response.put_object


def put_object_at_once(self):
    with writing:
        return put_object(self)


S3Response.put_object = put_object_at_once
logging.getLogger("werkzeug").setLevel(logging.ERROR)
end_with_parent()
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
announce(server.get_host_and_port()[1])
threading.Event().wait()
