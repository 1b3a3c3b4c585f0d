"""What the servers of the tests share: they say where they listen, and end with the test process."""

import os
import sys
import threading


def announce(port):
    print(f"http://127.0.0.1:{port}", flush=True)


def end_with_parent():
    """Standard input is a pipe of the test process: it ends when that does, however it ends."""

    def wait():
        while sys.stdin.buffer.read(4096):
            pass
        os._exit(0)

    threading.Thread(target=wait, daemon=True).start()
