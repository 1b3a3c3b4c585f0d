# Sourced by the other scripts: finds or starts Google's Firestore emulator on loopback.
#
# start_firestore_emulator LOGFILE   sets and exports FIRESTORE_EMULATOR_HOST; returns 1, with advice, where there is none
# stop_firestore_emulator            ends it if this script started it

firestore_emulator_group=""

start_firestore_emulator() {
    local log=$1
    if [ -n "${FIRESTORE_EMULATOR_HOST:-}" ]; then
        if curl -s -o /dev/null --max-time 5 "http://$FIRESTORE_EMULATOR_HOST/"; then return 0; fi
        echo "Nothing answers at FIRESTORE_EMULATOR_HOST=$FIRESTORE_EMULATOR_HOST." >&2
        return 1
    fi
    if ! command -v gcloud >/dev/null; then
        cat >&2 <<'ADVICE'
There is no Firestore emulator here. It is part of the gcloud command line tools:
    https://cloud.google.com/sdk/docs/install, then: gcloud components install cloud-firestore-emulator
or start one elsewhere and set FIRESTORE_EMULATOR_HOST=host:port.
ADVICE
        return 1
    fi
    local port try
    for try in 1 2 3; do
        port=$((20000 + RANDOM % 20000))
        (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && continue
        break
    done
    # A process group of its own: gcloud starts a shell that starts Java.
    setsid gcloud emulators firestore start --host-port="127.0.0.1:$port" >"$log" 2>&1 &
    firestore_emulator_group=$!
    for try in $(seq 240); do
        if curl -s -o /dev/null --max-time 5 "http://127.0.0.1:$port/"; then
            export FIRESTORE_EMULATOR_HOST="127.0.0.1:$port"
            return 0
        fi
        kill -0 "$firestore_emulator_group" 2>/dev/null || break
        sleep 0.25
    done
    echo "The Firestore emulator did not start; its output:" >&2
    tail -n 20 "$log" >&2
    stop_firestore_emulator
    return 1
}

stop_firestore_emulator() {
    [ -n "$firestore_emulator_group" ] || return 0
    kill -TERM -- "-$firestore_emulator_group" 2>/dev/null || true
    wait "$firestore_emulator_group" 2>/dev/null || true
    firestore_emulator_group=""
}
