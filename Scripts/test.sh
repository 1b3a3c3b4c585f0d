#!/usr/bin/env bash
# Runs all tests: starts the servers they need on loopback, and stops them. Arguments go to `swift test`.
set -euo pipefail
cd "$(dirname "$0")/.."
source Scripts/firestore-emulator.sh

scratch=$(mktemp -d)
cleanup() {
    stop_firestore_emulator
    rm -rf "$scratch"
}
trap cleanup EXIT

if ! start_firestore_emulator "$scratch/firestore.log"; then
    [ -z "${CI:-}" ] || { echo "In CI the tests need the Firestore emulator." >&2; exit 1; }
    echo "Tests that need the Firestore emulator are skipped." >&2
fi
swift build --build-tests
swift test --skip-build "$@"
