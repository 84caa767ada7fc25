#!/usr/bin/env bash
# machines.sh COUNT COMMAND…: runs the command in a place where `ssh host1`, `ssh host2` … lead to
# machines, which are network namespaces with a real sshd in each. Needs root; leaves nothing behind,
# and touches nobody's keys. Exit code 77, and why, where they cannot be made; else the command's.
# shellcheck source-path=SCRIPTDIR
set -euo pipefail

source "$(dirname "$(realpath "$0")")/../../demo/namespaces.sh"

count=$1
shift

impossible() {
    hosts_impossible
    local program
    for program in /usr/sbin/sshd ssh scp ssh-keygen; do
        command -v "$program" >/dev/null || echo "the command $program is missing (package openssh)"
    done
}

leave() {
    local code=$?
    trap '' INT TERM HUP
    set +e
    remove_namespaces
    rm -rf "$work"
    exit "$code"
}

# One key for all that is to be known and for all who may come in.
make_keys() {
    ssh-keygen -q -t ed25519 -N '' -f "$work/key"
    cat >"$work/sshd_config" <<TEXT
HostKey $work/key
AuthorizedKeysFile $work/key.pub
PermitRootLogin yes
StrictModes no
UsePAM no
PidFile none
Subsystem sftp internal-sftp
SetEnv PATH=$PATH
TEXT
    cat >"$work/ssh_config" <<TEXT
IdentityFile $work/key
IdentitiesOnly yes
StrictHostKeyChecking no
UserKnownHostsFile /dev/null
LogLevel ERROR
TEXT
}

# Programs that whoever calls `ssh` finds before the system's.
make_programs() {
    local program
    mkdir "$work/bin"
    for program in ssh scp; do
        printf '#!/bin/sh\nexec %s -F %s "$@"\n' "$(command -v "$program")" "$work/ssh_config" \
            >"$work/bin/$program"
        chmod +x "$work/bin/$program"
    done
}

# make_machine NAME: what is mounted here is seen in this place only.
make_machine() {
    make_place "$1"
    ip netns exec "$prefix-$1" sh -c "mount -t tmpfs tmpfs /run && mkdir /run/sshd &&
        exec /usr/sbin/sshd -D -e -f '$work/sshd_config'" </dev/null >"$work/$1.log" 2>&1 &
    disown
    printf 'Host %s\nHostName %s\n' "$1" "$(place_address "$1")" >>"$work/ssh_config"
}

await_machine() {
    local tries=0
    until ip netns exec "$prefix-client" "$work/bin/ssh" -n "$1" true 2>"$work/error"; do
        [[ $((tries += 1)) -lt 100 ]] || { cat "$work/error" "$work/$1.log" && exit 1; }
        sleep 0.1 # between two looks at the condition
    done
}

reason=$(impossible)
if [[ -n $reason ]]; then
    echo "no machines can be made here: $reason" >&2
    exit 77
fi
work=$(mktemp -d -t tercet-machines.XXXXXX)
trap leave EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
make_keys
make_programs
make_switch
make_place client
for ((id = 1; id <= count; id++)); do make_machine "host$id"; done
for ((id = 1; id <= count; id++)); do await_machine "host$id"; done
PATH="$work/bin:$PATH" ip netns exec "$prefix-client" "$@"
