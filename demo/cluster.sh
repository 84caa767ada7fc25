# shellcheck shell=bash
# A cluster on hosts, wherever they are: the binary, the settings, the replicas, what they say of
# themselves, and an end that leaves nothing behind. A place is `client` or `host1`, `host2` …; each
# has a directory of its own in which its commands run. Whoever sources this sources stage.sh
# before, and defines
#   host_address ID           at which the other hosts reach it
#   make_host ID              with a directory, and `tercet` on the PATH
#   copy_to PLACE FILE        into its directory
#   run_on PLACE COMMAND…
#   start_on ID COMMAND…      runs on after this, and writes to `$cluster.log` in its directory
#   kill_replica ID           at once, with all that runs on that host for us
#   remove_hosts              whatever of them was made, wherever the story ended

replicas=3
client_port=5001
peer_port=5004
lone_timeout_ms=5000
cluster=''     # the name of the cluster that is up now: its replicas' files begin with it
mode=available # of that cluster
members=0      # so many replicas belong to it
work=''        # a directory of our own on this machine
background=()  # process groups of ours on this machine
project=$(dirname "$(dirname "$(realpath "${BASH_SOURCE[0]}")")")

give_up() {
    echo "error: $*" >&2
    exit 1
}

# begin_work: afterwards `tercet`, the binary that the hosts get, is in `$work/bin`.
begin_work() {
    local tercet
    tercet=$(binary)
    work=$(mktemp -d -t tercet-demo.XXXXXX)
    trap leave EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    mkdir "$work/bin" "$work/client"
    ln -s "$tercet" "$work/bin/tercet"
    (umask 077 && random_text >"$work/peer-secret" && random_text >"$work/admin-token")
    copy_to client "$work/admin-token"
    set_environment
}

binary() {
    local binary=${TERCET_BIN:-${CARGO_TARGET_DIR:-$project/target}/release/tercet}
    [[ -f $binary && -x $binary ]] ||
        give_up "no program at $binary: cargo build --release, or name one with TERCET_BIN"
    realpath "$binary"
}

random_text() { od -An -N32 -tx1 /dev/urandom | tr -d ' \n'; }

client_address() { echo "$(host_address "$1"):$client_port"; }
peer_address() { echo "$(host_address "$1"):$peer_port"; }

# What every process of the demo finds in its environment, and nothing of the caller's. File names
# are relative to the directory of the place.
set_environment() {
    local id
    unset "${!TERCET_@}"
    export TERCET_REPLICAS='' TERCET_PEERS=''
    for ((id = 1; id <= replicas; id++)); do
        TERCET_REPLICAS+="${TERCET_REPLICAS:+,}$id=$(client_address "$id")"
        TERCET_PEERS+="${TERCET_PEERS:+,}$id=$(peer_address "$id")"
    done
    export TERCET_LONE_TIMEOUT_MS=$lone_timeout_ms
    export TERCET_PEER_SECRET_FILE=peer-secret TERCET_ADMIN_TOKEN_FILE=admin-token
    export TERCET_SESSION_FILE=sessions.json
}

# The environment in the words of a shell, for where it does not go by itself.
settings() {
    local name
    for name in "${!TERCET_@}"; do printf '%s ' "$(spell "$name=${!name}")"; done
}

show_settings() {
    local name
    say "All machines have the same settings, and the same two secrets in files."
    for name in TERCET_REPLICAS TERCET_PEERS TERCET_PEER_SECRET_FILE TERCET_ADMIN_TOKEN_FILE; do
        prompt 'all' "export $name=${!name}"
    done
}

# A host with all that a replica needs.
furnish_host() {
    make_host "$1"
    copy_to "host$1" "$work/peer-secret"
    copy_to "host$1" "$work/admin-token"
}

# start_replica ID [OPTION…]
start_replica() {
    local id=$1 command
    shift
    command=(tercet serve --id "$id" --data "$cluster-$id" "$@")
    prompt "host$id" "$(spell "${command[@]}") &"
    start_on "$id" "${command[@]}"
}

# begin_cluster NAME MODE
begin_cluster() {
    local id
    cluster=$1 mode=$2 members=$replicas
    for ((id = 1; id <= replicas; id++)); do start_replica "$id" --mode "$mode"; done
    await 30 "replica 1 leads, and all $members are members" whole
    status
    check "status names leader 1 and mode $mode" shown "^replica 1 leads, .*, mode $mode\$"
}

# The replicas are gone, with what clients remember of their cluster.
end_cluster() {
    local id
    for ((id = 1; id <= members; id++)); do kill_replica "$id"; done
    run_on client rm -f sessions.json clusters.json
    stop_background
    cluster=''
}

status() { show client tercet cluster status; }
status_json() { run_on "$1" tercet cluster status --json 2>/dev/null; }
leads() { leads_for client "$1"; }
leads_for() { [[ $(status_json "$1") == *"\"leader\":$2,"* ]]; }
members_are() { [[ $(status_json client | grep -o '"member":true' | wc -l) -eq $1 ]]; }
whole() { leads 1 && members_are "$members"; }

# in_background FILE COMMAND…: on this machine, in a process group of its own, to `$work/FILE`.
in_background() {
    local file=$1
    shift
    set -m
    "$@" </dev/null >>"$work/$file" 2>&1 &
    background+=($!)
    disown
    set +m
}

stop_background() {
    local group
    for group in "${background[@]}"; do kill -9 -- "-$group" 2>/dev/null || true; done
    background=()
}

evidence() {
    local id
    for ((id = 1; id <= members; id++)); do
        printf '\n%s-- the last lines of replica %s%s\n' "$dim" "$id" "$plain"
        run_on "host$id" tail -n 15 "$cluster.log"
    done
}

# The one way out, for the end, a failed check and Ctrl-C alike.
leave() {
    local code=$?
    trap '' INT TERM HUP
    set +e
    [[ $failed -eq 0 || -z $cluster ]] || evidence
    stop_background
    remove_hosts
    rm -rf "$work"
    [[ $code -eq 0 || $failed -gt 0 ]] || printf '\nstopped before the end\n'
    summary
    exit "$code"
}
