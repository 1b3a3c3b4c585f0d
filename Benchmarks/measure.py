"""Runs whole processes and measures what each took: wall time, CPU time and peak memory, as the kernel accounts them."""

import dataclasses
import os
import pathlib
import statistics
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent


@dataclasses.dataclass
class Sample:
    """One run of one process (and of the children it waited for)."""

    wall: float  # seconds
    user: float  # seconds of CPU in user mode
    system: float  # seconds of CPU in the kernel
    memory: float  # MB (10^6 bytes) of peak resident memory

    @property
    def cpu(self):
        return self.user + self.system


class Failed(Exception):
    """A measured process ended with another status than 0."""


def run(command, *, cwd=None, env=None, stdin=None, stdout=subprocess.DEVNULL):
    """Runs `command` to its end. Raises `Failed` with its last words when it fails: a broken run is never a fast one."""
    environment = {**os.environ, **(env or {})}
    start = time.perf_counter()
    process = subprocess.Popen(
        [str(word) for word in command], cwd=cwd, env=environment, stdin=stdin, stdout=stdout, stderr=subprocess.PIPE
    )
    words = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    process.stderr.close()
    if process.returncode != 0:
        tail = words.decode(errors="replace")[-2000:]
        raise Failed(f"{' '.join(map(str, command))} ended with {process.returncode}:\n{tail}")
    return Sample(wall, usage.ru_utime, usage.ru_stime, usage.ru_maxrss * 1024 / 1e6)


def in_turns(contestants, rounds):
    """Runs every contestant once per round, one after the other, and returns the samples by name.

    A contestant is a function that returns a `Sample`; what it prepares before `run` is not measured. Turns make a busy minute of the
    machine hit all of them alike.
    """
    samples = {name: [] for name in contestants}
    for number in range(rounds):
        for name, contestant in contestants.items():
            samples[name].append(contestant())
            print(f"  round {number + 1}/{rounds}  {name}: {samples[name][-1].wall:.2f} s", file=sys.stderr)
    return samples


def median(samples, value="wall"):
    return statistics.median(getattr(sample, value) for sample in samples)


class Report:
    """A table of one comparison, and the lines that compare a ratio with what was promised."""

    def __init__(self, title, note=""):
        self.title = title
        self.note = note
        self.rows = []
        self.findings = []

    def add(self, samples):
        for name, runs in samples.items():
            walls = [run.wall for run in runs]
            self.rows.append(
                f"| {name} | {len(runs)} | {statistics.median(walls):.2f} | {min(walls):.2f} to {max(walls):.2f} "
                f"| {median(runs, 'user'):.2f} | {median(runs, 'system'):.2f} | {max(r.memory for r in runs):.0f} |"
            )
        return self

    def promise(self, what, measured, bound, *, at_least=False, unit=""):
        """Compares a figure with its bound: at most the bound, or at least."""
        kept = measured >= bound if at_least else measured <= bound
        word = "at least" if at_least else "at most"
        verdict = "kept" if kept else "MISSED"
        self.findings.append(f"- {what}: **{measured:.2f}{unit}** ({word} {bound:g}{unit}: {verdict})")
        return self

    def say(self, line):
        self.findings.append(f"- {line}")
        return self

    def __str__(self):
        lines = [f"## {self.title}", ""]
        if self.note:
            lines += [self.note, ""]
        lines += ["| | runs | wall s, median | wall s, spread | user s | system s | peak MB |", "|---|---|---|---|---|---|---|"]
        return "\n".join(lines + self.rows + [""] + self.findings + [""])
