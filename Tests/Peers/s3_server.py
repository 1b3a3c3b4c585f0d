"""moto's S3 and STS on a free port of loopback."""

import logging
import threading

from moto.server import ThreadedMotoServer

from peer import announce, end_with_parent

logging.getLogger("werkzeug").setLevel(logging.ERROR)
end_with_parent()
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
announce(server.get_host_and_port()[1])
threading.Event().wait()
