#!/usr/bin/env bash
# Runs all tests. Those that need servers start them on loopback and stop them. Arguments go to `swift test`.
set -euo pipefail
cd "$(dirname "$0")/.."

# The peers that tests compare with are Python's; what is installed already needs no network.
requirements=Tests/requirements.txt
if ! cmp -s "$requirements" .venv/installed.txt; then
    [ -x .venv/bin/python3 ] || python3 -m venv .venv
    .venv/bin/pip install --quiet --disable-pip-version-check -r "$requirements"
    cp "$requirements" .venv/installed.txt
fi

swift build --build-tests
swift test --skip-build "$@"
