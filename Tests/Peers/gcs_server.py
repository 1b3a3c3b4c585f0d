"""gcp-storage-emulator on a free port of loopback, in memory."""

import http.server
import logging
import threading

from gcp_storage_emulator.server import create_server

from peer import announce, end_with_parent


class ThreadingServer(http.server.ThreadingHTTPServer):
    """The emulator serves one request at a time: a client that reads slowly, or is killed, holds up all others."""

    request_queue_size = 128
    daemon_threads = True


# Where the emulator looks for it.
http.server.HTTPServer = ThreadingServer
logging.disable(logging.CRITICAL)
end_with_parent()
server = create_server("127.0.0.1", 0, in_memory=True)
server.start()
announce(server._api._httpd.server_address[1])
threading.Event().wait()
