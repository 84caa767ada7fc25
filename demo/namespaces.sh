# shellcheck shell=bash
# Hosts made of network namespaces on this machine, one for each place, and one for the switch
# between them. Nothing is made outside of them, so the machine's own network is never touched, and
# any number of runs go side by side. Names carry the id of the process that made them.

prefix="tercet-$$"
namespaces=() # to take away again

# Addresses exist only inside the namespaces: a range that is reserved for documentation.
place_address() {
    case $1 in
    client) echo 192.0.2.100 ;;
    *) echo "192.0.2.${1#host}" ;;
    esac
}

# Why hosts cannot be made here; nothing if they can.
hosts_impossible() {
    local probe="$prefix-probe" error
    [[ $(uname -s) == Linux ]] || { echo "network namespaces need Linux" && return; }
    [[ $EUID -eq 0 ]] || { echo "network namespaces need root (try: sudo $0)" && return; }
    command -v ip >/dev/null || { echo "the command ip is missing (package iproute2)" && return; }
    error=$(ip netns add "$probe" 2>&1) || { echo "no network namespace: $error" && return; }
    error=$({
        ip netns exec "$probe" true &&
            ip -n "$probe" link add br0 type bridge &&
            ip -n "$probe" link add port type veth peer name eth0
    } 2>&1) || echo "no network between namespaces: $error"
    ip netns del "$probe"
}

make_namespace() {
    namespaces+=("$prefix-$1")
    ip netns add "$prefix-$1"
    ip -n "$prefix-$1" link set lo up
}

make_switch() {
    make_namespace switch
    ip -n "$prefix-switch" link add br0 type bridge
    ip -n "$prefix-switch" link set br0 up
}

# make_place NAME: a namespace with a cable to the switch.
make_place() {
    local switch="$prefix-switch" place="$prefix-$1"
    make_namespace "$1"
    ip -n "$switch" link add "port-$1" type veth peer name eth0 netns "$place"
    ip -n "$switch" link set "port-$1" master br0 up
    ip -n "$place" addr add "$(place_address "$1")/24" dev eth0
    ip -n "$place" link set eth0 up
}

pull_cable() { ip -n "$prefix-switch" link set "port-$1" down; }
plug_cable() { ip -n "$prefix-switch" link set "port-$1" up; }

# Ends every process of a namespace that we made, and waits until they are gone.
kill_processes_in() {
    local pids
    while pids=$(ip netns pids "$1" | paste -sd' ') && [[ -n $pids ]]; do
        # One may have ended by itself since.
        # shellcheck disable=SC2086 # a list of ids
        kill -9 $pids 2>/dev/null || true
    done
}

remove_namespaces() {
    local namespace
    for namespace in "${namespaces[@]}"; do
        kill_processes_in "$namespace" 2>/dev/null
        ip netns del "$namespace" 2>/dev/null
    done
    namespaces=()
}
