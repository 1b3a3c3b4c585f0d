#!/usr/bin/env bash
# The rooms' walls that the compiler does not hold (docs/architecture.md): who may import what.
set -uo pipefail
cd "$(dirname "$0")/.."

status=0
# forbid FOLDER PATTERN SENTENCE
forbid() {
    local found
    found=$(grep -rnE --include='*.swift' "^((internal|package|public|private|fileprivate) )?(@[a-zA-Z_]+ )*import ($2)\b" "$1" || true)
    [ -z "$found" ] && return
    printf '%s\n%s\n' "$3" "$found" >&2
    status=1
}

forbid Sources/JSONBytes 'Spool|Extract|Ship|Transport|Sandbox|Foundation' 'JSONBytes imports nothing.'
forbid Sources/Spool 'Extract|Ship|Transport|Sandbox|JSONBytes' 'Spool imports nothing of ours.'
forbid Sources/Transport 'Spool|Extract|Ship|Sandbox' 'Transport knows only HTTP.'
forbid Sources/Extract 'Ship|Sandbox|GRDB|GRDBSQLite|CCurl|COpenSSL|Yams|ArgumentParser' 'Extract reads sources and appends to the spool.'
forbid Sources/Ship 'Extract|Sandbox|GRDB|GRDBSQLite|CCurl|COpenSSL|Yams|ArgumentParser' 'Ship delivers from the spool.'
forbid Sources/HTTPServer 'Spool|Extract|Ship|Transport|Sandbox' 'HTTPServer knows neither who asks nor what is answered.'
forbid Sources/Sandbox 'CMicrohttpd' 'Sandbox listens through HTTPServer.'
forbid Sources/Remote 'Ship|Sandbox|GRDB|GRDBSQLite|CCurl|COpenSSL|Yams|ArgumentParser|Foundation' 'Remote keeps a copy of the spool in a store.'
forbid Sources/Sandbox 'Spool|Extract|Ship|Transport' 'Sandbox sees only HTTP.'
forbid Sources/etlctl 'GRDB|GRDBSQLite|CCurl|COpenSSL|CZlib|CDeflate|CMicrohttpd' 'etlctl knows no SQL and no C library.'
forbid Sources FoundationNetworking 'FoundationNetworking links a second libcurl.'
exit $status
