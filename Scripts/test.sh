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
# Many tests start servers and programs of their own: more at once would only starve each other.
swift test --skip-build --experimental-maximum-parallelization-width 4 "$@"
