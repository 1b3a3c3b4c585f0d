"""Records of a shop, made with a fixed seed: the same on every machine and in every run."""

import datetime
import json
import random

WORDS = (
    "amber anchor basin beacon birch cargo cedar cinder cobalt coral delta ember fjord gable garnet harbor hazel indigo ivory jasper "
    "kelp lagoon larch lichen maple marble meadow nickel ochre onyx opal pebble pine quartz raven reef sable sienna slate spruce "
    "straße tide topaz umber velvet walnut willow zephyr Zürich 東京"
).split()
START = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)


def records(count, seed=20261125):
    """`count` records of 12 fields: integers, texts, timestamps, decimals, booleans, one nested object, some nulls."""
    source = random.Random(seed)
    chosen = source.choices
    for number in range(count):
        words = chosen(WORDS, k=12)
        moment = START + datetime.timedelta(seconds=number * 7, microseconds=source.randrange(1_000_000))
        yield {
            "id": number + 1,
            "customer": source.randrange(1, 200_000),
            "name": f"{words[0]} {words[1]}",
            "email": f"{words[2]}.{number}@example.com",
            "note": None if number % 17 == 0 else " ".join(words[3:10]),
            "quantity": source.randrange(1, 50),
            "price": f"{source.randrange(1, 10_000_000) / 100:.2f}",
            "rate": round(source.random(), 6),
            "paid": source.random() < 0.7,
            "created": moment.isoformat().replace("+00:00", "Z"),
            "updated": (moment + datetime.timedelta(hours=source.randrange(1, 500))).isoformat().replace("+00:00", "Z"),
            "details": {"tags": words[10:12], "weight": source.randrange(1, 1000) / 10, "gift": number % 5 == 0},
        }


def write_json_lines(path, count):
    with open(path, "w", encoding="utf-8") as file:
        for record in records(count):
            file.write(json.dumps(record, ensure_ascii=False, separators=(",", ":")) + "\n")
