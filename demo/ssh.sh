#!/usr/bin/env bash
# Tercet on real machines, over ssh: one replica on each, the client here. Owns what a host is there;
# the story is in story.sh. Each machine gets a directory of its own in its temporary directory, with
# the binary in it, and loses it at the end.
# shellcheck source-path=SCRIPTDIR
set -euo pipefail

usage() {
    cat <<'TEXT'
usage: demo/ssh.sh [--fast] [--step] [--cut] HOST[=ADDRESS] HOST[=ADDRESS] HOST[=ADDRESS]…

  HOST           as for ssh, which must not ask for a password. Of four and more, the last is added
                 while the others serve
  ADDRESS        at which the other machines and this one reach it, if not the name that ssh uses
  --fast         a lone survivor goes on after 2 seconds of silence, not 5
  --step         wait for Enter after each line of the story
  --cut          part the network too: the first machine's firewall (nft, as root or by sudo) drops
                 what comes from and goes to the demo's two ports, and nothing else
  --ports C,P    for clients and among replicas (5001,5004)

TERCET_BIN names the binary, one that the machines can run (target/release/tercet).
Exit code 0: every check passed. 1: one failed, or a machine cannot take part. 2: wrong usage.
TEXT
}

demo=$(dirname "$(realpath "$0")")
source "$demo/stage.sh"
source "$demo/cluster.sh"
source "$demo/story.sh"

disaster='loses its replica'
cut_wanted=no
cut_off=''             # the id of the machine that is cut off now
table="tercet_demo_$$" # of its firewall
machines=('')          # by id, as for ssh
addresses=('')         # by id
directories=('')       # by id, of those that were made

wrong_usage() {
    usage >&2
    exit 2
}

read_arguments() {
    while [[ $# -gt 0 ]]; do
        case $1 in
        --fast) lone_timeout_ms=2000 ;;
        --step) step=yes ;;
        --cut) cut_wanted=yes ;;
        --ports)
            [[ ${2:-} =~ ^([0-9]+),([0-9]+)$ ]] || wrong_usage
            client_port=${BASH_REMATCH[1]} peer_port=${BASH_REMATCH[2]}
            shift
            ;;
        --help | -h) usage && exit 0 ;;
        -*) wrong_usage ;;
        *) machines+=("${1%%=*}") addresses+=("$(address_of "$1")") ;;
        esac
        shift
    done
    local count=$((${#machines[@]} - 1))
    [[ $count -ge 3 && $count -le 9 ]] || wrong_usage
    replicas=$((count == 3 ? 3 : count - 1))
}

address_of() {
    case $1 in
    *=*) echo "${1#*=}" ;;
    *) ssh -G "$1" | sed -n 's/^hostname //p' ;;
    esac
}

# over_ssh ID SCRIPT
over_ssh() { ssh -n -o BatchMode=yes -o ConnectTimeout=10 "${machines[$1]}" "$2"; }

# in_directory ID: what begins each script, so that it runs as it would here.
in_directory() { echo "cd '${directories[$1]}' && export PATH=\"\$PWD:\$PATH\" $(settings) &&"; }

host_address() { echo "${addresses[$1]}"; }

make_host() {
    local kind here
    here=$(uname -sm)
    kind=$(over_ssh "$1" 'uname -sm') || give_up "no ssh to ${machines[$1]}"
    [[ $kind == "$here" ]] || give_up "${machines[$1]} is $kind, and the binary is for $here"
    directories[$1]=$(over_ssh "$1" 'mktemp -d -t tercet-demo.XXXXXX')
    prompt client "scp tercet ${machines[$1]}:${directories[$1]}/"
    copy_to "host$1" "$work/bin/tercet"
    over_ssh "$1" "'${directories[$1]}/tercet' --version" >/dev/null ||
        give_up "${machines[$1]} cannot run this binary: name one that it can with TERCET_BIN"
}

copy_to() {
    local id=${1#host}
    case $1 in
    client) cp "$2" "$work/client/" ;;
    *) scp -q -p -o BatchMode=yes "$2" "${machines[id]}:${directories[id]}/" ;;
    esac
}

run_on() {
    local place=$1
    shift
    case $place in
    client) (cd "$work/client" && PATH="$work/bin:$PATH" exec "$@") ;;
    *) over_ssh "${place#host}" "$(in_directory "${place#host}") $(spell "$@")" ;;
    esac
}

# Its process id is kept there, for whatever becomes of this script.
start_on() {
    local id=$1
    shift
    over_ssh "$id" "$(in_directory "$id")
        { nohup $(spell "$@") </dev/null >>'$cluster.log' 2>&1 & } && echo \$! >pid"
}

kill_replica() {
    over_ssh "$1" "cd '${directories[$1]}' &&
        if [ -e pid ]; then kill -9 \$(cat pid); rm pid; fi"
}

# The machine itself is not ours to switch off.
kill_host() {
    prompt "host$1" "kill -9 $(run_on "host$1" cat pid)"
    kill_replica "$1"
}

revive_host() { :; }

no_spare_host() {
    [[ ${#machines[@]} -gt 4 ]] || echo "there is no machine for a replica more: name a fourth"
}

no_cut() {
    if [[ $cut_wanted == no ]]; then
        echo "the network is not parted unless asked for (--cut)"
    elif ! as_root 1 nft list tables >/dev/null 2>&1; then
        echo "on ${machines[1]} nft is not there, or wants a password for root"
    fi
}

# as_root ID COMMAND…: a system's programs for root need not be on the PATH of a user.
as_root() {
    local id=$1
    shift
    over_ssh "$id" "export PATH=\"\$PATH:/usr/sbin:/sbin\"
        \$([ \$(id -u) -eq 0 ] || echo sudo -n) $*"
}

# Only what the machine says to itself still gets through on the two ports.
cut_host() {
    local ports="{ $client_port, $peer_port }" rules
    rules="table inet $table {
        chain input {
            type filter hook input priority 0
            iifname != \"lo\" tcp dport $ports drop
            iifname != \"lo\" tcp sport $ports drop
        }
        chain output {
            type filter hook output priority 0
            oifname != \"lo\" tcp dport $ports drop
            oifname != \"lo\" tcp sport $ports drop
        }
    }"
    prompt "host$1" "nft 'drop what is not from lo, in and out, on tcp ports $client_port and $peer_port'"
    cut_off=$1
    as_root "$1" nft "'$rules'"
}

heal_host() {
    prompt "host$1" "nft delete table inet $table"
    as_root "$1" nft delete table inet "$table"
    cut_off=''
}

remove_hosts() {
    local id
    [[ -z $cut_off ]] || heal_host "$cut_off"
    for id in "${!directories[@]}"; do
        [[ -n ${directories[id]} ]] || continue
        kill_replica "$id" && over_ssh "$id" "rm -rf '${directories[id]}'" ||
            echo "left behind: ${machines[id]}:${directories[id]}" >&2
    done
}

make_hosts() {
    local id
    for ((id = 1; id <= replicas; id++)); do
        echo "host$id is ${machines[id]}, at ${addresses[id]}"
        furnish_host "$id"
    done
    echo "In another terminal: TERCET_REPLICAS=$TERCET_REPLICAS watch -tn1 $work/bin/tercet cluster status"
}

read_arguments "$@"
begin_work
make_hosts
play
