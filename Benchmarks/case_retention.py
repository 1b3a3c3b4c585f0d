"""`etlctl extract` into a spool through which five million rows have passed, beside an empty one: nothing that later runs look up may slow
appending down, and the file must not keep what was removed."""

import measure

ROWS_A_ROUND = 250_000


class Spool:
    """A spool with a configuration of its own, whose delivered rows are removed at once."""

    def __init__(self, bench, name):
        self.bench = bench
        self.folder = bench.folder(name)
        (self.folder / "data").mkdir()
        self.config = self.folder / "etl.yaml"
        self.file = self.folder / "spool.sqlite"

    def configure(self, port):
        self.config.write_text(
            "spool: {path: spool.sqlite, keep_delivered: 0s}\n"
            f'destination: {{project: p, dataset: d, endpoint: "http://127.0.0.1:{port}", latest_views: false, '
            "max_rows_per_request: 5000}\n"
            "sources: {files: {type: files, url: data}}\n"
            'streams: {lines: {source: files, from: "*.jsonl", mode: incremental}}\n'
        )

    def write(self, first, rows):
        """One file with new rows, in the place of those read before."""
        for old in (self.folder / "data").iterdir():
            old.unlink()
        note = "n" * 60
        with open(self.folder / "data" / f"f{first:09}.jsonl", "w") as file:
            for number in range(first, first + rows):
                file.write(f'{{"id":{number},"name":"row {number} of all","note":"{note}"}}\n')

    def run(self, *words):
        return measure.run([self.bench.etlctl, *words, "--config", self.config, "--quiet"])

    def remove(self):
        for path in self.folder.glob("spool.sqlite*"):
            path.unlink()


def floors(bench):
    old, empty = Spool(bench, "old"), Spool(bench, "empty")
    total, rows = bench.rows(5_000_000), bench.rows(ROWS_A_ROUND)
    first = 0
    while first < total:
        port = bench.free_port()
        bench.serve([bench.etlctl, "sandbox", "--port", port], port)
        old.configure(port)
        old.write(first, rows)
        old.run("extract")
        old.run("ship", "--settle", "0s")
        bench.stop_servers()
        first += rows
    bytes_before = old.file.stat().st_size
    empty.configure(bench.free_port())

    def append_to(spool):
        nonlocal first
        if spool is empty:
            spool.remove()
            spool.run("status")
        else:
            first += rows
        spool.write(first, rows)
        return spool.run("extract")

    samples = measure.in_turns(
        {"5M rows have passed": lambda: append_to(old), "empty": lambda: append_to(empty)}, bench.rounds
    )
    report = measure.Report(
        f"Append {rows:,} rows after {total:,} were delivered and removed",
        f"The file had {bytes_before / 1e6:.0f} MB then; 16 bytes a row of it are what files keep to know unchanged rows by.",
    ).add(samples)
    for value in ("wall", "cpu"):
        ratio = measure.median(samples["empty"], value) / measure.median(samples["5M rows have passed"], value)
        report.promise(f"speed by {value} time, of an empty spool's", ratio, 0.9, at_least=True)
    yield report
