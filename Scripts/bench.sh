#!/usr/bin/env bash
# Benchmarks/README.md. Arguments go to Benchmarks/bench.py. Peers are installed into a virtual environment of their own.
set -euo pipefail
cd "$(dirname "$0")/.."

python=python3
requirements=Benchmarks/requirements.txt
if [ -s "$requirements" ]; then
    if ! cmp -s "$requirements" .venv-bench/installed.txt; then
        [ -x .venv-bench/bin/python3 ] || python3 -m venv .venv-bench
        .venv-bench/bin/pip install --quiet --disable-pip-version-check -r "$requirements"
        cp "$requirements" .venv-bench/installed.txt
    fi
    python=.venv-bench/bin/python3
fi
exec "$python" Benchmarks/bench.py "$@"
