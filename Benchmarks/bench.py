#!/usr/bin/env python3
"""`make bench` and `make bench-peers`: measures etlctl against floors (C programs, curl, a server's own copy) and against what users would
pick instead. Each case is a file `case_NAME.py` beside this one with `floors(bench)` and, where there are peers, `peers(bench)`; both
yield `Report`s."""

import argparse
import importlib
import os
import pathlib
import platform
import shutil
import socket
import subprocess
import sys
import tempfile
import time

import measure

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent


class Bench:
    """What a case needs: programs, a folder to work in, servers that end with the run, and how much to do."""

    def __init__(self, work, rounds, scale, python):
        self.work = work
        self.rounds = rounds
        self.scale = scale
        self.python = python
        self.etlctl = ROOT / ".build" / "release" / "etlctl"
        self.servers = []

    def rows(self, full):
        """A number of rows, scaled down by --scale."""
        return max(1000, int(full * self.scale))

    def folder(self, name):
        """An empty folder."""
        path = self.work / name
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir(parents=True)
        return path

    def floor(self, name, *flags):
        """Compiles `floors/NAME.c` and returns the program."""
        program = self.work / name
        if not program.exists():
            subprocess.run(["cc", "-O2", "-D_GNU_SOURCE", "-o", program, HERE / "floors" / f"{name}.c", *flags], check=True)
        return program

    def free_port(self):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            return probe.getsockname()[1]

    def serve(self, command, port, *, env=None, seconds=30):
        """Starts a server of this run and waits until it takes connections on a loopback port."""
        log = open(self.work / f"server-{port}.log", "wb")
        server = subprocess.Popen(
            [str(word) for word in command],
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
            env={**os.environ, **(env or {})},
            start_new_session=True,
        )
        self.servers.append(server)
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                return server
            except OSError:
                if server.poll() is not None:
                    break
                time.sleep(0.05)
        raise measure.Failed(f"{command[0]} did not start: see {log.name}")

    def stop_servers(self):
        for server in reversed(self.servers):
            try:
                os.killpg(server.pid, 15)
                server.wait(timeout=10)
            except ProcessLookupError:
                pass
            except subprocess.TimeoutExpired:
                os.killpg(server.pid, 9)
                server.wait()
        self.servers = []


def machine():
    model = next((l.split(":")[1].strip() for l in open("/proc/cpuinfo") if l.startswith("model name")), platform.machine())
    return f"{os.cpu_count()} cores, {model}, Linux {platform.release().split('-')[0]}"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", action="store_true", help="compare with what users would pick instead")
    parser.add_argument("--only", metavar="CASE", action="append", help="this case alone; may be given again")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of the floors (peers: at most 3)")
    parser.add_argument("--scale", type=float, default=1.0, help="a part of the rows, for a quick look")
    arguments = parser.parse_args()
    cases = sorted(path.stem.removeprefix("case_") for path in HERE.glob("case_*.py"))
    chosen = [case for case in cases if not arguments.only or case in arguments.only]
    if not chosen:
        parser.error(f"no such case; there are {', '.join(cases)}")
    rounds = min(arguments.rounds, 3) if arguments.peers else arguments.rounds
    work = pathlib.Path(tempfile.mkdtemp(prefix="etlctl-bench-"))
    print(f"# etlctl {'beside its peers' if arguments.peers else 'beside its floors'}\n")
    print(f"{machine()}; {rounds} rounds in turns; scale {arguments.scale:g}.\n", flush=True)
    failed = False
    try:
        for name in chosen:
            case = importlib.import_module(f"case_{name}")
            measured = getattr(case, "peers" if arguments.peers else "floors", None)
            if measured is None:
                continue
            bench = Bench(work / name, rounds, arguments.scale, sys.executable)
            bench.work.mkdir()
            try:
                for report in measured(bench):
                    print(report, flush=True)
            except measure.Failed as failure:
                failed = True
                print(f"## {name}\n\nfailed: {failure}\n", flush=True)
            finally:
                bench.stop_servers()
                shutil.rmtree(bench.work, ignore_errors=True)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    sys.path.insert(0, str(HERE))
    main()
