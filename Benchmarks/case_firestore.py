"""`etlctl extract` from Firestore's emulator into the spool, beside curl that fetches the very same pages to /dev/null; and beside Google's
Python client."""

import firestore
import measure
from extraction import EXTRACT, INSERT, Extraction

CURL = "curl of the same pages > /dev/null"
CLIENT = "google-cloud-firestore, flattening"


class FirestoreExtraction(Extraction):
    def __init__(self, bench):
        self.documents = bench.rows(100_000)
        source = f"type: firestore, project: {firestore.PROJECT}"
        super().__init__(bench, "extract-firestore", self.documents, source, "from: orders")
        self.emulator = firestore.Emulator(bench, self.documents)

    def extract(self, host=None):
        return super().extract(env={"FIRESTORE_EMULATOR_HOST": host or self.emulator.host})

    def record_pages(self):
        """Has curl ask what etlctl asks: one run through a recorder, then a script of the same bodies, one connection for all."""
        pages = self.bench.folder("pages")
        self.extract(self.emulator.serve_recorder(self.bench, pages))
        self.script = self.folder / "curl"
        parts = []
        for page in sorted(pages.iterdir()):
            parts.append(
                f'url = "http://{self.emulator.host}/v1/{firestore.ROOT}:runQuery?prettyPrint=false"\n'
                f'data-binary = "@{page}"\nheader = "Content-Type: application/json"\nheader = "Authorization: Bearer owner"\n'
                'output = "/dev/null"\nsilent\nshow-error\nfail\ngloboff\nwrite-out = "%{size_download}\\n"\n'
            )
        self.script.write_text("next\n".join(parts))
        self.pages = len(parts)
        with open(self.folder / "sizes", "w+b") as sizes:
            measure.run(["curl", "-q", "-K", self.script], stdout=sizes)
            sizes.seek(0)
            self.bytes = sum(int(line) for line in sizes)

    def fetch(self):
        return measure.run(["curl", "-q", "-K", self.script])

    def note(self):
        return (
            f"{self.documents:,} documents of 12 fields, {self.bytes / self.documents:.0f} bytes each in the answers, {self.pages} pages, "
            "one reader, from the emulator, which bounds the wall time of all."
        )


def floors(bench):
    work = FirestoreExtraction(bench)
    work.record_pages()
    samples = measure.in_turns({EXTRACT: work.extract, CURL: work.fetch}, bench.rounds)
    yield (
        measure.Report(f"Extract {work.documents:,} documents from Firestore", work.note())
        .add(samples)
        .promise("wall time, of curl's", measure.median(samples[EXTRACT]) / measure.median(samples[CURL]), 1.15)
        .promise("peak memory", max(sample.memory for sample in samples[EXTRACT]), 64, unit=" MB")
    )


def peers(bench):
    work = FirestoreExtraction(bench)
    work.record_pages()
    program = measure.HERE / "peers" / "firestore_flatten.py"

    def flatten():
        return measure.run(
            [bench.python, program, firestore.PROJECT, "orders", work.documents],
            env={"FIRESTORE_EMULATOR_HOST": work.emulator.host},
        )

    # Before the first turn nobody has read what was just written, and Java has not compiled itself.
    work.write_payloads()
    samples = measure.in_turns({EXTRACT: work.extract, CLIENT: flatten, INSERT: work.insert}, bench.rounds)
    ratio = measure.median(samples[CLIENT], "user") / measure.median(samples[EXTRACT], "user")
    yield (
        measure.Report(
            f"Extract {work.documents:,} documents from Firestore, beside Google's Python client",
            work.note() + " The client streams the collection and writes flattened rows of JSON to nowhere; etlctl's rows are in the spool. "
            "The C program does nothing but put the same rows there.",
        )
        .add(samples)
        .promise("the client's user CPU, in etlctl's", ratio, 100, at_least=True)
    )
