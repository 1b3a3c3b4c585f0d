#!/usr/bin/env bash
# The whole path on this machine: 600 Firestore documents through the spool into BigQuery's stand-in, then 5 changes.
set -euo pipefail
cd "$(dirname "$0")/.."
source Scripts/firestore-emulator.sh

etlctl=${ETLCTL:-$PWD/.build/release/etlctl}
work=$(mktemp -d)
sandbox=""
cleanup() {
    [ -z "$sandbox" ] || { kill "$sandbox" 2>/dev/null || true; wait "$sandbox" 2>/dev/null || true; }
    stop_firestore_emulator
    rm -rf "$work"
}
trap cleanup EXIT

title() { printf '\n\033[1m%s\033[0m\n' "$1"; }
run() {
    printf '\n$ etlctl %s\n' "$*"
    "$etlctl" "$@"
}
fail() {
    echo "demo: $1" >&2
    exit 1
}
# number JSON EXPRESSION
number() { python3 -c "import json,sys; d=json.load(open(sys.argv[1])); print($2)" "$1"; }

title "1. A Firestore with 600 memos, and a stand-in for BigQuery"
start_firestore_emulator "$work/firestore.log" || fail "without the Firestore emulator there is nothing to show"
project="demo-$$"
python3 Scripts/demo_memos.py write "$FIRESTORE_EMULATOR_HOST" "$project" 600
echo "600 documents in the emulator at $FIRESTORE_EMULATOR_HOST: every kind of value; last_modified is a timestamp in 420,"
echo "a string, a number, a map, null or absent in the others."
"$etlctl" sandbox --port 0 --json >"$work/sandbox.json" 2>"$work/sandbox.log" &
sandbox=$!
for _ in $(seq 100); do [ -s "$work/sandbox.json" ] && break; sleep 0.1; done
endpoint=$(number "$work/sandbox.json" 'd["endpoint"]')
echo "The stand-in for BigQuery listens at $endpoint."

cd "$work"
cat >etl.yaml <<YAML
destination: {project: b2b-recs, dataset: raw_data, endpoint: "$endpoint"}
sources:
  app: {type: firestore, project: $project}
streams:
  memos:                      # everything that is new, changed or gone
    source: app
    from: memos
    mode: changes
    table: bq_memos
  memos_by_time:              # by a field: cheaper, but see the warning
    source: app
    from: memos
    watermark: last_modified
YAML
cat etl.yaml

title "2. Extract, then ship"
run extract
run ship

title "3. Five documents change; both run again"
(cd - >/dev/null && python3 Scripts/demo_memos.py change "$FIRESTORE_EMULATOR_HOST" "$project" 5)
run extract
"$etlctl" ship --json >ship.json
sent=$(number ship.json 'next(s["delivered"] for s in d["streams"] if s["stream"] == "memos")')
echo "Rows of the stream memos sent: $sent"
[ "$sent" = 5 ] || fail "exactly 5 rows were expected"

title "4. Nothing changed; a third run sends nothing"
"$etlctl" extract --json >extract.json
"$etlctl" ship --json >ship.json
echo "spooled: $(number extract.json 'sum(s["rows_spooled"] for s in d["streams"])'), delivered: $(number ship.json 'sum(s["delivered"] for s in d["streams"])')"

title "5. Where everything is"
run status
run audit
run audit destination

title "6. The table, compared with the source value by value"
query='{"query":"SELECT * FROM `b2b-recs.raw_data.bq_memos`","useLegacySql":false,"maxResults":10000}'
curl -s -H 'Content-Type: application/json' -d "$query" "$endpoint/bigquery/v2/projects/b2b-recs/queries" >table.json
python3 - table.json rows.jsonl <<'PYTHON'
import datetime, json, sys
answer = json.load(open(sys.argv[1]))
fields = answer["schema"]["fields"]
def value(field, cell):
    if cell is not None and field["type"] == "TIMESTAMP":
        moment = datetime.datetime(1970, 1, 1) + datetime.timedelta(microseconds=round(float(cell) * 1e6))
        return moment.isoformat().replace("+00:00", "").rstrip("0" if moment.microsecond else "") + "Z"
    return cell
with open(sys.argv[2], "w") as out:
    for row in answer["rows"]:
        print(json.dumps({f["name"]: value(f, c["v"]) for f, c in zip(fields, row["f"])}), file=out)
PYTHON
rows=$(wc -l <rows.jsonl)
echo "$rows rows in b2b-recs.raw_data.bq_memos: 600 first versions and 5 second ones."
[ "$rows" = 605 ] || fail "605 rows were expected"
(cd - >/dev/null && python3 Scripts/demo_memos.py compare "$FIRESTORE_EMULATOR_HOST" "$project" "$work/rows.jsonl") \
    || fail "a value was lost or bent on the way"

printf '\nDone: 600 + 5 rows delivered, the ledger balances, no row is unaccounted for. Everything started here is stopped.\n'
