#!/usr/bin/env bash
# Tercet beside other replicated servers: starts three of each on this machine, loads them, kills
# them, and prints a line of JSON for each measurement, and at the end the tables. Owns the order of
# things; how the servers are started is in servers.sh, what is measured in src/.
# shellcheck source-path=SCRIPTDIR
set -euo pipefail

usage() {
    cat <<'TEXT'
usage: benches/peers/run.sh [PEER…] [--seconds N] [--trials N] [--strace]

  PEER          tercet-stream, tercet-unary, etcd, etcd-fast, redis, postgres, nats, nats-synced,
                limits (what the disk allows); all of them, if none is named
  --seconds N   so long is each load, after 2 seconds that count for nothing (10)
  --trials N    so many leaders are killed (3)
  --strace      measure nothing: count the syncs of each server with strace(1)

TERCET_BIN names Tercet's binary (target/dist/tercet), TMPDIR the disk, POSTGRES_BIN the
directory of PostgreSQL's programs. install.sh installs the other servers.
Exit code 0: all was measured. 1: something failed. 2: wrong usage.
TEXT
}

here=$(dirname "$(realpath "$0")")
project=$(dirname "$(dirname "$here")")
source "$here/servers.sh"

all=(limits tercet-stream tercet-unary etcd etcd-fast redis postgres nats nats-synced)
chosen=()
seconds=10
trials=3
strace=no
work='' # a directory of our own
name='' # of the peer that is up now, as it is printed
kind='' # of its servers

wrong_usage() {
    usage >&2
    exit 2
}

give_up() {
    echo "error: $*" >&2
    exit 1
}

say() { echo "$*" >&2; }

read_arguments() {
    while [[ $# -gt 0 ]]; do
        case $1 in
        --seconds) seconds=${2:-} && shift ;;
        --trials) trials=${2:-} && shift ;;
        --strace) strace=yes ;;
        --help | -h) usage && exit 0 ;;
        *)
            [[ " ${all[*]} " == *" $1 "* ]] || wrong_usage
            chosen+=("$1")
            ;;
        esac
        shift || wrong_usage
    done
    [[ $seconds =~ ^[1-9][0-9]*$ && $trials =~ ^[1-9][0-9]*$ ]] || wrong_usage
    [[ ${#chosen[@]} -gt 0 ]] || chosen=("${all[@]}")
}

# The load generator, and Tercet if it is asked for.
find_programs() {
    local target=${CARGO_TARGET_DIR:-$project/target}
    cargo build --quiet --release --locked --manifest-path "$here/Cargo.toml" --target-dir "$target"
    peers=$(realpath "$target/release/peers")
    [[ " ${chosen[*]} " == *' tercet-'* ]] || return 0
    tercet=${TERCET_BIN:-$target/dist/tercet}
    [[ -f $tercet && -x $tercet ]] ||
        give_up "no program at $tercet: cargo build --profile dist, or name one with TERCET_BIN"
    tercet=$(realpath "$tercet")
    unset "${!TERCET_@}"
}

begin_work() {
    work=$(mktemp -d -t tercet-peers.XXXXXX)
    trap leave EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    [[ $(stat -f -c %T "$work") != tmpfs ]] ||
        give_up "$work is in memory, where a sync means nothing: name a disk with TMPDIR"
    # PostgreSQL is another user.
    chmod 711 "$work"
}

# The one way out, for the end, a failure and Ctrl-C alike.
leave() {
    local code=$?
    trap '' INT TERM HUP
    set +e
    [[ $code -eq 0 || -z $dir ]] || tail -n 5 "$dir"/[123]/log >&2
    "$peers" kill "$work"
    rm -rf "$work"
    exit "$code"
}

# Prints what is measured, and keeps it for the tables.
keep() { tee -a "$work/lines"; }

# begin_peer NAME KIND: afterwards a new cluster is up.
begin_peer() {
    name=$1 kind=$2
    say "== $name"
    dir=$(mktemp -d "$work/cluster.XXXXXX")
    chmod 711 "$dir"
    mkdir "$dir"/{1,2,3}
    base_port=$("$peers" base-port)
    "make_$kind"
}

end_peer() {
    "$peers" kill "$dir"
    rm -rf "$dir"
    dir=''
}

# on ACTION [OPTION…]
on() {
    "$peers" on "$kind" --name "$name" --base-port "$base_port" --dir "$dir" "$@"
}

# measure NAME KIND
measure() {
    local in_flight
    begin_peer "$@"
    on ready
    on settings | keep
    say_what_settings_do_not | keep
    if [[ $strace == yes ]]; then
        count_syncs on load --in-flight 1 --warm-up 0 --seconds 3
    else
        for in_flight in 1 64 256; do
            on load --in-flight "$in_flight" --seconds "$seconds" | keep
        done
        [[ $kind != etcd && $kind != nats ]] || kill_leaders
        on alone | keep
    fi
    end_peer
}

# What an acknowledgement is worth, where no setting says it.
say_what_settings_do_not() {
    case $name in
    redis) note "WAIT counts replicas that received the write; it does not promise their sync" ;;
    'nats (not synced)') note "no setting for syncs in 2.9: acknowledged before anything is synced" ;;
    'nats (chattr +S)') note "no setting for syncs in 2.9: $(lsattr -d "$dir"/1/store)" ;;
    esac
}

note() { printf '{"peer":"%s","measure":"note","note":"%s"}\n' "$name" "$*"; }

kill_leaders() {
    local trial id
    for ((trial = 1; trial <= trials; trial++)); do
        on failover | keep
        for id in 1 2 3; do runs "$id" || "start_$kind" "$id"; done
        on ready
    done
}

# etcd with the shortest timers that it takes: only how fast it takes over is another.
measure_etcd_fast() {
    [[ $strace == no ]] || return 0
    etcd_timers=(--heartbeat-interval 10 --election-timeout 100)
    begin_peer 'etcd (10 ms, 100 ms)' etcd
    kill_leaders
    end_peer
    etcd_timers=()
}

# measure_tercet stream|unary
measure_tercet() {
    local via=$1 in_flight
    begin_peer "tercet ($via)" tercet
    await_tercet
    if [[ $strace == yes ]]; then
        count_syncs bench_tercet load --via "$via" --in-flight 1 --warm-up 0 --duration 3
    else
        for in_flight in 1 64 256; do
            bench_tercet load --via "$via" --in-flight "$in_flight" --duration "$seconds" | keep
        done
        bench_tercet failover --via "$via" --in-flight 64 --duration 3600 \
            --kill-leader-every 8 --kills "$trials" | keep
        "$peers" kill "$dir/1"
        "$peers" kill "$dir/2"
        bench_tercet alone --via "$via" --in-flight 1 --warm-up 0 --duration 10 | keep
    fi
    end_peer
}

await_tercet() {
    local deadline=$((SECONDS + 60)) status
    until status=$("$tercet" cluster status --json 2>/dev/null) &&
        [[ $(grep -o '"member":true' <<<"$status" | wc -l) -eq 3 ]]; do
        [[ $SECONDS -lt $deadline ]] || give_up "Tercet is not ready: $status"
        sleep 0.05 # between two looks
    done
    printf '{"peer":"%s","measure":"settings","settings":{"version":"%s","status":%s}}\n' \
        "$name" "$("$tercet" --version)" "$status" | keep
}

# bench_tercet MEASURE OPTION…
bench_tercet() {
    local measure=$1
    shift
    # A load with failures is not one; a survivor that takes no writes is an answer.
    { "$tercet" bench send --connections 4 --json "$@" || [[ $measure == alone ]]; } |
        "$peers" tercet "$measure" --name "$name"
}

# count_syncs COMMAND…: a line for each server, of the load that the command is.
count_syncs() {
    local id pids tracers=() pid writes calls
    for id in 1 2 3; do
        pids=$("$peers" pids "$dir/$id" | paste -sd,)
        strace -f -c -e trace=fsync,fdatasync -o "$dir/syncs-$id" -p "$pids" 2>/dev/null &
        tracers+=($!)
        for pid in ${pids//,/ }; do
            # One may end by itself meanwhile.
            while grep -q '^TracerPid:\s0$' "/proc/$pid/status" 2>/dev/null; do
                kill -0 $! || give_up "strace could not attach to $name"
                sleep 0.05 # between two looks
            done
        done
    done
    writes=$("$@" | grep -o '"writes":[0-9]*' | cut -d: -f2)
    kill -INT "${tracers[@]}"
    wait "${tracers[@]}" || true # it ends by the signal
    for id in 1 2 3; do
        calls=$(awk '$NF ~ /^f(data)?sync$/ { calls += $4 } END { print calls + 0 }' \
            "$dir/syncs-$id")
        printf '{"peer":"%s","measure":"syncs","server":%s,"calls":%s,"writes":%s}\n' \
            "$name" "$id" "$calls" "$writes" | keep
    done
}

describe_machine() {
    printf '{"measure":"machine","cpus":%s,"kernel":"%s","file_system":"%s","load":"%s"}\n' \
        "$(nproc)" "$(uname -r)" "$(stat -f -c %T "$work")" "$(cut -d' ' -f1-3 /proc/loadavg)" |
        keep
}

run() {
    case $1 in
    limits) [[ $strace == yes ]] || "$peers" limits "$work" --seconds 3 | keep ;;
    tercet-*) measure_tercet "${1#tercet-}" ;;
    etcd-fast) measure_etcd_fast ;;
    nats) measure 'nats (not synced)' nats ;;
    nats-synced)
        nats_synced=yes
        measure 'nats (chattr +S)' nats
        nats_synced=no
        ;;
    *) measure "$1" "$1" ;;
    esac
}

read_arguments "$@"
find_programs
begin_work
describe_machine
for peer in "${chosen[@]}"; do run "$peer"; done
"$peers" table <"$work/lines"
