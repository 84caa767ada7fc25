# shellcheck shell=bash
# Three servers of each kind, on this machine: with which settings they are started. Each works in
# its own directory, `$dir/N`, and its log is `log` there. For each kind there is `start_KIND N`,
# which starts a server, the first time or again, and `make_KIND`, which makes the cluster and starts
# all. Whoever sources this sets these four, and defines `give_up MESSAGE`.

dir=''       # of the cluster that is up now
base_port='' # server N has three ports from here plus 3 (N - 1) on
peers=''     # the load generator
tercet=''    # Tercet's binary

client_port() { echo $((base_port + 3 * ($1 - 1))); }
peer_port() { echo $(($(client_port "$1") + 1)); }
monitor_port() { echo $(($(client_port "$1") + 2)); }

# each_server WORD: WORD with every @N, @C, @P replaced by the server's number and ports; with
# commas between.
each_server() {
    local id list='' word
    for id in 1 2 3; do
        word=${1//@N/$id}
        word=${word//@C/$(client_port "$id")}
        list+="${list:+,}${word//@P/$(peer_port "$id")}"
    done
    echo "$list"
}

# launch N COMMAND…: in the background, in the server's directory.
launch() {
    local id=$1
    shift
    (cd "$dir/$id" && exec "$@" </dev/null >>"$dir/$id/log" 2>&1) &
    disown
}

runs() { [[ -n $("$peers" pids "$dir/$1") ]]; }

start_three() {
    local id
    for id in 1 2 3; do "start_$1" "$id"; done
}

# etcd. `etcd_timers` holds the two options of the fast variant.
etcd_timers=()
make_etcd() { start_three etcd; }
start_etcd() {
    local id=$1 client peer
    client=http://127.0.0.1:$(client_port "$id")
    peer=http://127.0.0.1:$(peer_port "$id")
    launch "$id" etcd --name "etcd-$id" --data-dir data \
        --listen-client-urls "$client" --advertise-client-urls "$client" \
        --listen-peer-urls "$peer" --initial-advertise-peer-urls "$peer" \
        --initial-cluster "$(each_server 'etcd-@N=http://127.0.0.1:@P')" \
        --initial-cluster-state new "${etcd_timers[@]}"
}

# Redis: the append-only file is the store, so there are no snapshots beside it.
make_redis() { start_three redis; }
start_redis() {
    local id=$1 follow=()
    [[ $id -eq 1 ]] || follow=(--replicaof 127.0.0.1 "$(client_port 1)")
    launch "$id" redis-server --port "$(client_port "$id")" --bind 127.0.0.1 --dir "$dir/$id" \
        --appendonly yes --appendfsync always --save '' "${follow[@]}"
}

# PostgreSQL: a primary that waits for both standbys to flush. It refuses to run as root.
postgres_bin=${POSTGRES_BIN:-/usr/lib/postgresql/15/bin}
as_postgres=()
[[ $EUID -ne 0 ]] || as_postgres=(setpriv --reuid=postgres --regid=postgres --clear-groups)
make_postgres() {
    local id
    [[ $EUID -ne 0 ]] || chown postgres "$dir"/[123]
    in_postgres 1 "$postgres_bin/initdb" --pgdata=data --username=bench --auth=trust >>"$dir/1/log"
    start_postgres 1
    until "$postgres_bin/pg_isready" -q -h 127.0.0.1 -p "$(client_port 1)"; do
        runs 1 || give_up "PostgreSQL did not start: $(tail -n 3 "$dir/1/log")"
        sleep 0.05 # between two looks
    done
    for id in 2 3; do
        in_postgres "$id" "$postgres_bin/pg_basebackup" --pgdata=data --write-recovery-conf \
            --checkpoint=fast --dbname="host=127.0.0.1 port=$(client_port 1) user=bench"
        start_postgres "$id"
    done
}
in_postgres() {
    local id=$1
    shift
    (cd "$dir/$id" && "${as_postgres[@]}" "$@")
}
start_postgres() {
    local id=$1
    launch "$id" "${as_postgres[@]}" "$postgres_bin/postgres" -D data -p "$(client_port "$id")" \
        -c listen_addresses=127.0.0.1 -c unix_socket_directories= \
        -c synchronous_standby_names='2 (*)' -c synchronous_commit=on -c fsync=on
}

# NATS. Version 2.9 cannot be told when to sync (`sync_interval: always` is of 2.10). With
# `nats_synced` the file system makes each of its writes to disk synchronous.
nats_synced=no
make_nats() {
    local id routes
    routes=$(each_server 'nats://127.0.0.1:@P')
    for id in 1 2 3; do
        mkdir "$dir/$id/store"
        [[ $nats_synced == no ]] || chattr +S "$dir/$id/store" ||
            give_up "the file system of $dir cannot make writes synchronous (chattr +S)"
        cat >"$dir/$id/nats.conf" <<TEXT
server_name: nats-$id
listen: 127.0.0.1:$(client_port "$id")
http: 127.0.0.1:$(monitor_port "$id")
jetstream { store_dir: "$dir/$id/store" }
cluster {
    name: peers
    listen: 127.0.0.1:$(peer_port "$id")
    routes: [$routes]
}
TEXT
    done
    start_three nats
}
start_nats() { launch "$1" nats-server --config nats.conf; }

# Tercet, with its defaults.
make_tercet() {
    (umask 077 && od -An -N32 -tx1 /dev/urandom | tr -d ' \n' >"$dir/secret")
    TERCET_REPLICAS=$(each_server '@N=127.0.0.1:@C')
    TERCET_PEERS=$(each_server '@N=127.0.0.1:@P')
    export TERCET_REPLICAS TERCET_PEERS
    export TERCET_PEER_SECRET_FILE=$dir/secret TERCET_SESSION_FILE=$dir/sessions.json
    start_three tercet
}
start_tercet() { launch "$1" "$tercet" serve --id "$1" --data data; }
