# shellcheck shell=bash
# The story, in parts, and what must be true after each of them. It is told on hosts that it does
# not know how to make: whoever sources this sources stage.sh and cluster.sh before, and defines
#   disaster         what befalls a host that is killed, in words
#   kill_host ID     its replica is gone, without a goodbye
#   revive_host ID   undoes that, but for starting the replica
#   cut_host ID      its replica runs on, and no other host reaches it
#   heal_host ID     undoes that
#   no_spare_host    why there is no host for a replica more; prints nothing if there is one
#   no_cut           why no host can be cut off; prints nothing if one can

play() {
    show_settings
    part_chat
    part_kills
    part_return
    part_join
    part_cut
}

register() {
    show client env "TERCET_PASSWORD=$2" tercet register "$1" --login
    check "$1 has an account and is logged in" succeeded
}

part_chat() {
    heading "$replicas hosts, one replica on each"
    begin_cluster chat available
    heading "Chat"
    say "Two people take a name, and write."
    register ann 'correct horse'
    register bob 'battery staple'
    show client tercet send bob 'are you there?' --as ann
    check "acknowledged: it is on the disks of all $replicas" succeeded
    show client tercet inbox --as bob
    check "bob finds it" shown 'ann: are you there\?'
    show client tercet send ann 'yes, on all of them' --as bob
    show client tercet history bob --as ann
    check "ann sees both, in order" [ "$(grep -c . <<<"$output")" -eq 2 ]
    say "Bob leaves a window open that shows what comes (in another terminal: tail -F $work/bobs-window)."
    prompt client 'tercet tail --as bob &'
    in_background bobs-window run_on client tercet tail --as bob
    await 20 "bob's window is open" bob_sees 'following at replica'
}

bob_sees() { grep -qF -- "$1" "$work/bobs-window"; }

# ann_writes TEXT: acknowledged, and in the window that has been open all the time.
ann_writes() {
    show client tercet send bob "$1" --as ann
    check "ann's message is acknowledged" succeeded
    await 30 "it is in bob's window" bob_sees "$1"
}

# Carol's program goes on until `numbers-end`; `numbers` has each number that was acknowledged, with
# the time, and `numbers-unsure` those of which it was not told.
begin_numbers() {
    say "Carol's program writes numbers to dave, each as soon as the one before is acknowledged."
    register carol 'purple monkey'
    register dave 'dishwasher nine'
    prompt client "for n in {1..999999}; do tercet send dave \"number \$n\" --as carol; done &"
    touch "$work/numbers" "$work/numbers-unsure"
    in_background numbers-said write_numbers
    await 30 "the first are acknowledged" numbers_reach 3
}

write_numbers() {
    local n=0
    until [[ -e $work/numbers-end ]]; do
        n=$((n + 1))
        if run_on client tercet send dave "number $n" --as carol; then
            echo "$n ${EPOCHREALTIME/[.,]/}" >>"$work/numbers"
        else
            echo "$n" >>"$work/numbers-unsure"
        fi
    done
    touch "$work/numbers-ended"
}

numbers_acknowledged() { cut -d' ' -f1 "$work/numbers"; }
numbers_reach() { [[ $(wc -l <"$work/numbers") -ge $1 ]]; }

# The acknowledged numbers so far must be in dave's history, each once and in order.
check_numbers() {
    local count
    numbers_acknowledged >"$work/expected"
    count=$(wc -l <"$work/expected")
    prompt client "tercet history carol --as dave --limit 1000000 | grep -c number"
    run_on client tercet history carol --as dave --limit 1000000 |
        sed -n 's/.* carol: number //p' >"$work/found"
    wc -l <"$work/found"
    check "all $count acknowledged numbers are there" expected_are_found
    check "each once, and in order" sort -nuc "$work/found"
}

expected_are_found() {
    [[ -z $(comm -23 <(sort "$work/expected") <(sort "$work/found")) ]]
}

end_numbers() {
    touch "$work/numbers-end"
    await 60 "carol's program has ended" [ -e "$work/numbers-ended" ]
    check_numbers
    echo "unsure: $(wc -l <"$work/numbers-unsure") numbers;" \
        "the longest time between two acknowledgements: $(in_seconds "$(longest_gap)")"
}

longest_gap() {
    awk 'NR > 1 && $2 - before > gap { gap = $2 - before } { before = $2 }
         END { printf "%d", gap }' "$work/numbers"
}

part_kills() {
    local id
    heading "One host after the other $disaster, while messages go through"
    begin_numbers
    for ((id = 1; id < replicas; id++)); do
        say "Host $id leads. It $disaster."
        kill_leader "$id"
    done
    say "Replica $replicas is alone."
    check "it is the only member of its view" members_are 1
    check_numbers
}

# kill_leader ID: the next one must lead, and serve.
kill_leader() {
    local next=$(($1 + 1))
    kill_host "$1"
    await 30 "replica $next leads" leads "$next"
    status
    check "status names leader $next" shown "^replica $next leads"
    check "replica $1 is out of reach" shown "^$1 .* unreachable"
    ann_writes "still there without host $1"
    await 30 "carol's program goes on" numbers_reach $(($(wc -l <"$work/numbers") + 3))
}

part_return() {
    local id
    heading "The hosts come back"
    say "Their replicas start with the same command as before, while messages go through."
    for ((id = 1; id < replicas; id++)); do
        revive_host "$id"
        start_replica "$id" --mode "$mode"
    done
    await 60 "all catch up, and replica 1 is handed the lead" whole
    status
    verify
    end_numbers
}

verify() {
    show client tercet cluster verify
    check "all replicas hold the same state" succeeded
    check "verify says so" shown '^equal: the same state at LSN'
}

part_join() {
    local id=$((replicas + 1)) reason
    heading "A replica more"
    reason=$(no_spare_host)
    [[ -z $reason ]] || { skipped "$reason" && return; }
    say "Host $id is new. Its replica knows one that belongs to the cluster, and waits to be added."
    furnish_host "$id"
    members=$id
    start_replica "$id" --join "$(client_address 1)" \
        --address "$(client_address "$id")" --peer-address "$(peer_address "$id")"
    await 30 "it waits" log_says "$id" 'does not belong to the cluster yet'
    show client tercet cluster add-replica "$id=$(client_address "$id")" \
        --peer-address "$(peer_address "$id")" --wait
    check "the cluster has taken it in" succeeded
    check "it has caught up, and is a member" shown "^replica $id is a member"
    status
    check "status names it, though no list of ours does" shown "^$id .* yes "
    ann_writes "hello to all $id"
    verify
}

log_says() { run_on "host$1" grep -qF -- "$2" "$cluster.log"; }

part_cut() {
    local reason
    heading "The network parts"
    reason=$(no_cut)
    [[ -z $reason ]] || { skipped "$reason" && return; }
    say "In mode available a partition is outside of what is promised: a lone replica cannot know
whether the others are dead. So here is a new cluster on the same hosts, in mode majority."
    end_cluster
    begin_cluster parted majority
    register ann 'correct horse'
    register bob 'battery staple'
    say "Host 1, which leads, is cut off. Its replica lives; nobody reaches it."
    cut_host 1
    await 30 "replica 2 leads the rest" leads 2
    status
    show client tercet send bob 'from the larger side' --as ann
    check "the larger side goes on: ann's message is acknowledged" succeeded
    the_smaller_side
    say "The network is whole again."
    heal_host 1
    await 60 "replica 1 catches up, and is handed the lead" whole
    status
    show client tercet history bob --as ann
    check "the acknowledged message is there" shown 'from the larger side'
    check "the refused one is not" not_shown 'from the smaller side'
    verify
}

the_smaller_side() {
    say "Somebody with ann's session sits at host 1, and writes there."
    copy_to host1 "$work/client/sessions.json"
    await 30 "replica 1 does not lead any more" nobody_leads_for host1
    show host1 tercet cluster status
    check "on host 1 nobody leads" shown '^(nobody serves|no replica that answers knows a leader)'
    show host1 tercet send bob 'from the smaller side' --as ann --timeout 3
    check "on host 1 nothing is acknowledged" refused
}

nobody_leads_for() { [[ $(status_json "$1") == *'"leader":null,'* ]]; }
