#!/usr/bin/env bash
# Runs all tests. Those that need servers start them on loopback and stop them. Arguments go to `swift test`.
set -euo pipefail
cd "$(dirname "$0")/.."
swift build --build-tests
swift test --skip-build "$@"
