#!/usr/bin/env bash
# Tercet on several hosts, played on one Linux machine: each replica in a network namespace of its
# own with its own address, the client in another. Owns what a host is there; the story is in
# story.sh. Needs root; touches nothing but namespaces and a directory that it makes.
# shellcheck source-path=SCRIPTDIR
set -euo pipefail

usage() {
    cat <<'TEXT'
usage: demo/hosts.sh [--replicas N] [--fast] [--step]

  --replicas N   so many replicas to begin with, 3 to 7 (3)
  --fast         a lone survivor goes on after 2 seconds of silence, not 5
  --step         wait for Enter after each line of the story

TERCET_BIN names the binary (target/release/tercet).
Exit code 0: every check passed. 1: one failed. 2: wrong usage. 77: no hosts can be made here.
TEXT
}

demo=$(dirname "$(realpath "$0")")
source "$demo/stage.sh"
source "$demo/cluster.sh"
source "$demo/namespaces.sh"
source "$demo/story.sh"

disaster='loses its power'

wrong_usage() {
    usage >&2
    exit 2
}

read_arguments() {
    while [[ $# -gt 0 ]]; do
        case $1 in
        --replicas) replicas=${2:-} && shift ;;
        --fast) lone_timeout_ms=2000 ;;
        --step) step=yes ;;
        --help | -h) usage && exit 0 ;;
        *) wrong_usage ;;
        esac
        shift || wrong_usage
    done
    [[ $replicas =~ ^[3-7]$ ]] || wrong_usage
}

host_address() { place_address "host$1"; }

make_host() {
    make_place "host$1"
    mkdir "$work/host$1"
}

copy_to() { cp "$2" "$work/$1/"; }

# The program that `run_on` is, for other terminals too.
write_door() {
    cat >"$work/on" <<TEXT
#!/usr/bin/env bash
# on client|host1|host2… COMMAND…: runs it there, with the settings of the demo.
place=\$1
shift
cd "$work/\$place" || exit
exec ip netns exec "$prefix-\$place" env PATH="$work/bin:\$PATH" $(settings) "\$@"
TEXT
    chmod +x "$work/on"
}

run_on() { "$work/on" "$@"; }

start_on() {
    local place="host$1"
    shift
    in_background "$place/$cluster.log" "$work/on" "$place" "$@"
}

kill_replica() { kill_processes_in "$prefix-host$1"; }

# The cable first: no dying process says goodbye.
kill_host() {
    cut_host "$1"
    prompt "host$1" "kill -9 $(ip netns pids "$prefix-host$1" | paste -sd' ')"
    kill_replica "$1"
}

revive_host() { heal_host "$1"; }

cut_host() {
    prompt switch "ip link set port-host$1 down"
    pull_cable "host$1"
}

heal_host() {
    prompt switch "ip link set port-host$1 up"
    plug_cable "host$1"
}

no_spare_host() { :; }
no_cut() { :; }

remove_hosts() { remove_namespaces; }

make_hosts() {
    local id
    make_switch
    make_place client
    write_door
    for ((id = 1; id <= replicas; id++)); do furnish_host "$id"; done
    echo "$replicas hosts and a client, each a network namespace: ip netns list | grep $prefix"
    echo "In another terminal: sudo $work/on client watch -tn1 tercet cluster status"
}

read_arguments "$@"
reason=$(hosts_impossible)
if [[ -n $reason ]]; then
    echo "no hosts can be made here: $reason" >&2
    exit 77
fi
begin_work
make_hosts
play
