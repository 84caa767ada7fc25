//! The tests that a transcript cannot hold, because a whole cluster does not get there by itself: one
//! replica, fed message by message.

use std::collections::{BTreeMap, BTreeSet};

use tercet_core::{
    Replica, RoleKind,
    config::{Config, Limits, LoggedConfig, Mode, Settings, Timing},
    effect::{Effect, Halt},
    epochs::EpochHistory,
    id::{ClusterId, Epoch, Incarnation, Lsn, ReplicaId, StoreId, Time},
    input::Input,
    log::{Entry, LastEntry, Payload, Recovered, Snapshot},
    message::{Acknowledged, Append, Hello, Message, VoteState},
};

#[test]
fn candidate_outside_the_adopted_view_nominates_its_lowest_member() {
    let mut replica = replica(1);
    let epoch = stand(&mut replica, &[2, 3]);
    receive(&mut replica, 2, promised(epoch, vote_state(1, &[1, 2, 3])));
    // 3 knows a later view without 1 than it knew when it was asked.
    receive(&mut replica, 3, promised(epoch, vote_state(2, &[2, 3])));
    let effects = step(&mut replica, Input::Tick { now: Time(30_000) });
    assert!(effects.contains(&Effect::Send {
        to: ReplicaId(2),
        message: Message::Nominate { epoch },
    }));
    assert_eq!(replica.status().role, RoleKind::Waiting);
}

#[test]
fn candidate_does_not_lead_on_a_log_without_it_whatever_its_donor_said() {
    let mut replica = replica(1);
    let epoch = stand(&mut replica, &[2, 3]);
    receive(&mut replica, 2, promised(epoch, vote_state(1, &[1, 2, 3])));
    // 3 says that its log has 1 in its Config, and sends one that has not.
    let said = vote_state(2, &[1, 2, 3]);
    let entry = Entry {
        lsn: said.last_entry.lsn,
        epoch: said.last_entry.epoch,
        payload: Payload::Config(config(&[2, 3])),
    };
    receive(&mut replica, 3, promised(epoch, said));
    let effects = step(&mut replica, Input::Tick { now: Time(30_000) });
    // From the last that is committed here: it shows that both are of one history.
    let from = Lsn(1);
    assert!(effects.contains(&Effect::Send {
        to: ReplicaId(3),
        message: Message::Pull { epoch, from },
    }));
    let committed = Entry {
        lsn: from,
        epoch: self::epoch(1, 1),
        payload: Payload::Config(config(&[1, 2, 3])),
    };
    let entries = vec![committed, entry];
    let pulled = Message::Pulled {
        epoch,
        from,
        entries,
    };
    receive(&mut replica, 3, pulled);
    assert_eq!(replica.status().role, RoleKind::Waiting);
}

#[test]
fn nominee_stands_in_an_epoch_of_its_own() {
    let mut replica = replica(2);
    link(&mut replica, 1);
    link(&mut replica, 3);
    let epoch = epoch(2, 1);
    let prepare = Message::Prepare {
        epoch,
        transferred_from: None,
    };
    receive(&mut replica, 1, prepare);
    assert_eq!(replica.status().role, RoleKind::Waiting);
    receive(&mut replica, 1, Message::Nominate { epoch });
    assert_eq!(replica.status().role, RoleKind::Candidate);
    let next = replica.status().epoch;
    assert_eq!(
        (next.term(), next.proposer),
        (epoch.term() + 1, ReplicaId(2))
    );
}

#[test]
fn nomination_in_an_epoch_that_was_not_promised_is_ignored() {
    let mut replica = replica(2);
    link(&mut replica, 1);
    let nominate = Message::Nominate { epoch: epoch(2, 1) };
    receive(&mut replica, 1, nominate);
    assert_eq!(replica.status().role, RoleKind::Waiting);
}

#[test]
fn late_promise_resumes_a_candidacy_that_gave_up_and_none_that_was_vetoed() {
    let mut replica = replica(1);
    let epoch = stand(&mut replica, &[2, 3]);
    let asks = |effect: &Effect| {
        matches!(
            effect,
            Effect::Send {
                message: Message::Prepare { .. },
                ..
            }
        )
    };
    // Nobody answers until its time is over.
    let mut now = 20_000;
    while replica.status().role == RoleKind::Candidate {
        now += 10_000;
        step(&mut replica, Input::Tick { now: Time(now) });
    }
    let effects = receive(&mut replica, 2, promised(epoch, vote_state(1, &[1, 2, 3])));
    assert!(effects.iter().any(asks));
    assert_eq!(replica.status().role, RoleKind::Candidate);
    receive(&mut replica, 3, Message::Vetoed { epoch });
    let effects = receive(&mut replica, 2, promised(epoch, vote_state(1, &[1, 2, 3])));
    assert_eq!(effects, []);
    assert_eq!(replica.status().role, RoleKind::Waiting);
}

#[test]
fn append_in_the_epoch_of_another_proposer_is_ignored() {
    let mut replica = replica(2);
    link(&mut replica, 3);
    let effects = receive(&mut replica, 3, append(epoch(2, 1), 2));
    assert_eq!(effects, []);
    assert_eq!(replica.status().last, Lsn(1));
}

#[test]
fn what_is_not_on_the_disk_yet_is_sent_from_memory() {
    let limits = Limits {
        window_bytes_max: 0,
        ..Limits::default()
    };
    let mut replica = replica_with(2, limits);
    link(&mut replica, 1);
    let leading = epoch(2, 1);
    let Message::Append(first) = append(leading, 2) else {
        unreachable!("it is an Append");
    };
    // Its disk is slow, and the others have committed the entry.
    let commit = Append {
        commit: Lsn(2),
        ..first
    };
    for message in [append(leading, 2), Message::Append(commit)] {
        let from = ReplicaId(1);
        replica.step(Input::Received { from, message });
    }
    assert_eq!(replica.commit(), Lsn(2));
    let pull = Message::Pull {
        epoch: leading,
        from: Lsn(2),
    };
    let effects = receive(&mut replica, 1, pull);
    let sent = |effect: &Effect| matches!(effect, Effect::Send { message: Message::Pulled { entries, .. }, .. } if entries.len() == 1);
    assert!(matches!(&*effects, [effect] if sent(effect)), "{effects:?}");
}

#[test]
fn append_with_a_gap_is_ignored() {
    let mut replica = replica(2);
    link(&mut replica, 1);
    let effects = receive(&mut replica, 1, append(epoch(1, 1), 3));
    assert_eq!(effects, []);
    assert_eq!(replica.status().last, Lsn(1));
}

#[test]
fn message_without_a_session_is_ignored() {
    let mut replica = replica(2);
    let effects = receive(&mut replica, 1, append(epoch(1, 1), 2));
    assert_eq!(effects, []);
}

#[test]
fn promise_of_another_epoch_makes_no_leader() {
    let mut replica = replica(1);
    let epoch = stand(&mut replica, &[2, 3]);
    for peer in [2, 3] {
        let older = promised(Epoch { number: 1, ..epoch }, vote_state(1, &[1, 2, 3]));
        receive(&mut replica, peer, older);
    }
    step(&mut replica, Input::Tick { now: Time(30_000) });
    assert_eq!(replica.status().role, RoleKind::Candidate);
}

#[test]
fn acknowledgement_of_more_than_the_log_has_commits_no_more() {
    let mut replica = replica(1);
    let epoch = lead(&mut replica);
    for peer in [2, 3] {
        let appended = Message::Appended {
            epoch,
            matched: Lsn(u64::MAX),
            applied: Lsn(u64::MAX),
            sent_at: Time(0),
            nonce: 1,
            active: true,
            unconfirmed: false,
            clock: Time(0),
        };
        receive(&mut replica, peer, appended);
    }
    assert_eq!(replica.commit(), Lsn(2));
    let status = replica.status();
    assert!(status.serving && !status.firm);
}

#[test]
fn config_is_firm_when_the_last_member_has_applied_it() {
    let mut replica = replica(1);
    let epoch = lead(&mut replica);
    let appended = |applied| Message::Appended {
        epoch,
        matched: Lsn(2),
        applied: Lsn(applied),
        sent_at: Time(0),
        nonce: 1,
        active: true,
        unconfirmed: false,
        clock: Time(0),
    };
    for peer in [2, 3] {
        receive(&mut replica, peer, appended(0));
    }
    step(&mut replica, Input::Applied { lsn: Lsn(2) });
    receive(&mut replica, 2, appended(2));
    receive(&mut replica, 3, appended(1));
    assert!(!replica.status().firm);
    receive(&mut replica, 3, appended(2));
    assert!(replica.status().firm);
}

#[test]
fn nothing_committed_is_cut_where_the_whole_roster_has_it_and_nowhere_in_a_part() {
    let mut replica = replica(1);
    let everybody = || [ReplicaId(1), ReplicaId(2), ReplicaId(3)];
    let told_from = |replica: &Replica| (0..9).map(Lsn).find(|&lsn| replica.may_tell_early(lsn));
    assert_eq!(told_from(&replica), Some(Lsn(1)));
    let epoch = lead(&mut replica);
    assert_eq!(told_from(&replica), Some(Lsn(2)), "from the newest Config");
    assert!(replica.may_tell_early(Lsn(9)));
    // A fourth may lead on without any of the three once it is a member, and it is none yet.
    let roster = everybody().into_iter().chain([ReplicaId(4)]).collect();
    step(&mut replica, Input::Roster { roster });
    assert_eq!(told_from(&replica), None);
    let roster = everybody().into();
    step(&mut replica, Input::Roster { roster });
    assert_eq!(told_from(&replica), Some(Lsn(2)));
    for peer in [2, 3] {
        let appended = Message::Appended {
            epoch,
            matched: Lsn(2),
            applied: Lsn(0),
            sent_at: Time(0),
            nonce: 1,
            active: true,
            unconfirmed: false,
            clock: Time(0),
        };
        receive(&mut replica, peer, appended);
    }
    let peer = ReplicaId(3);
    step(&mut replica, Input::LinkDown { peer });
    for _ in 0..2 {
        step(&mut replica, Input::Refused { peer, told: true });
    }
    step(&mut replica, Input::Tick { now: Time(40_000) });
    let status = replica.status();
    let LoggedConfig { config: view, .. } = status.config.expect("it leads");
    assert!(!view.members.contains_key(&peer));
    assert_eq!(told_from(&replica), None);
}

#[test]
fn stamp_from_the_future_lengthens_no_lease() {
    let mut replica = replica(1);
    let epoch = lead(&mut replica);
    let appended = |sent_at| Message::Appended {
        epoch,
        matched: Lsn(2),
        applied: Lsn(0),
        sent_at,
        nonce: 1,
        active: true,
        unconfirmed: false,
        clock: Time(0),
    };
    for peer in [2, 3] {
        receive(&mut replica, peer, appended(Time(u64::MAX)));
    }
    assert_eq!(replica.lease_until(), None);
    for peer in [2, 3] {
        receive(&mut replica, peer, appended(Time(30_000)));
    }
    let lease = Timing::default().lease;
    assert_eq!(replica.lease_until(), Some(Time(30_000 + lease)));
}

#[test]
fn new_session_with_the_same_run_of_the_leader_revokes_no_lease() {
    let mut replica = replica(2);
    link(&mut replica, 1);
    link(&mut replica, 3);
    receive(&mut replica, 1, append(epoch(2, 1), 2));
    assert_eq!(replica.status().leader, Some(ReplicaId(1)));
    // The leader slept, so it is not active; but it may hold a lease that this replica granted.
    link(&mut replica, 1);
    let prepare = Message::Prepare {
        epoch: epoch(3, 3),
        transferred_from: None,
    };
    let effects = receive(&mut replica, 3, prepare);
    let vetoed = Message::Vetoed { epoch: epoch(3, 3) };
    assert!(effects.contains(&Effect::Send {
        to: ReplicaId(3),
        message: vetoed,
    }));
}

#[test]
fn peer_that_returns_with_a_clock_ahead_makes_nobody_believe_that_he_slept() {
    let ping = |clock| Message::Ping {
        promised: epoch(1, 1),
        clock: Time(clock),
    };
    // Whether 3 is there, and whether it shows that this replica's clock went on.
    for (there, contradicts) in [(true, true), (true, false), (false, false)] {
        let mut replica = replica(2);
        link(&mut replica, 1);
        receive(&mut replica, 1, ping(5_000));
        if there {
            link(&mut replica, 3);
            receive(&mut replica, 3, ping(7_000));
        }
        let peer = ReplicaId(1);
        step(&mut replica, Input::LinkDown { peer });
        link_in_run(&mut replica, 1, 2);
        receive(&mut replica, 1, ping(90_000_000));
        if contradicts {
            receive(&mut replica, 3, ping(8_000));
        }
        for now in (10_000..=200_000).step_by(10_000) {
            step(&mut replica, Input::Tick { now: Time(now) });
        }
        let slept = replica.status().lost_time > 0;
        assert_eq!(slept, !contradicts, "there {there}");
    }
}

#[test]
fn time_that_was_lost_is_not_found_again_by_a_peer_that_was_away() {
    let ping = |clock| Message::Ping {
        promised: epoch(1, 1),
        clock: Time(clock),
    };
    let mut replica = replica(2);
    for peer in [1, 3] {
        link(&mut replica, peer);
        receive(&mut replica, peer, ping(10_000_000));
    }
    let peer = ReplicaId(3);
    step(&mut replica, Input::LinkDown { peer });
    step(&mut replica, Input::Tick { now: Time(10_000) });
    // 1 went on for half a second more than this replica.
    receive(&mut replica, 1, ping(10_510_000));
    let lost = replica.status().lost_time;
    assert!((490_000..=510_000).contains(&lost), "{lost}");
    link_in_run(&mut replica, 3, 2);
    for now in (20_000..=300_000).step_by(10_000) {
        receive(&mut replica, 3, ping(10_500_000 + now));
        step(&mut replica, Input::Tick { now: Time(now) });
    }
    assert_eq!(replica.status().lost_time, lost);
}

#[test]
fn peer_whose_clock_is_compared_anew_contradicts_no_suspicion() {
    let ping = |clock| Message::Ping {
        promised: epoch(1, 1),
        clock: Time(clock),
    };
    // 3 knows nothing after a start of its host, and 4 is met for the first time.
    for newcomer in [3, 4] {
        let mut replica = replica(2);
        for peer in [1, 3] {
            link(&mut replica, peer);
            receive(&mut replica, peer, ping(10_000_000));
        }
        for peer in [1, newcomer].map(ReplicaId) {
            step(&mut replica, Input::LinkDown { peer });
        }
        link_in_run(&mut replica, newcomer, 2);
        link_in_run(&mut replica, 1, 2);
        receive(&mut replica, 1, ping(90_000_000));
        receive(&mut replica, newcomer, ping(8_000));
        for now in (10_000..=200_000).step_by(10_000) {
            step(&mut replica, Input::Tick { now: Time(now) });
        }
        assert!(replica.status().lost_time > 0, "newcomer {newcomer}");
    }
}

/// A hello of replica 1, of that run and store.
fn hello(run: u64, store: u128) -> Hello {
    Hello {
        id: ReplicaId(1),
        store: StoreId(store),
        incarnation: Incarnation(run),
        cluster: Some(ClusterId(7)),
        active: true,
        dead: BTreeSet::new(),
        dead_by: Epoch::NONE,
        acknowledged: Acknowledged::default(),
    }
}

#[test]
fn id_of_a_replica_that_is_there_is_taken_until_it_is_silent() {
    let twin = hello(9, 1);
    let stranger = hello(9, 77);
    let mut replica = replica(2);
    // Nobody was heard: a member on its own store is welcome, and one on another store has to wait.
    assert!(!replica.is_taken(&twin) && replica.is_taken(&stranger));
    link(&mut replica, 1);
    assert!(!replica.is_taken(&hello(1, 1)), "the same run dials again");
    assert!(replica.is_taken(&twin) && !replica.admits(&twin));
    assert!(replica.is_taken(&stranger) && !replica.admits(&stranger));
    // The session has ended: the next run on the same store is welcome at once.
    let peer = ReplicaId(1);
    step(&mut replica, Input::LinkDown { peer });
    assert!(!replica.is_taken(&twin) && replica.is_taken(&stranger));
    // 3 is not here either: only after the time that a lone replica waits is the member given up.
    for now in (10_000..=5_100_000).step_by(10_000) {
        assert_eq!(replica.is_taken(&stranger), now <= 5_010_000, "{now}");
        step(&mut replica, Input::Tick { now: Time(now) });
    }
}

#[test]
fn member_that_returns_has_its_id_before_a_stranger_who_came_first() {
    let stranger = hello(9, 77);
    let mut replica = replica(2);
    link(&mut replica, 3);
    // 1 was not heard since the start, and 3 is here: the stranger is taken for its successor.
    for now in (10_000..=1_020_000).step_by(10_000) {
        receive(&mut replica, 3, append(epoch(1, 3), 2));
        step(&mut replica, Input::Tick { now: Time(now) });
    }
    assert!(replica.admits(&stranger));
    let hello = stranger.clone();
    step(&mut replica, Input::LinkUp { hello });
    assert!(replica.admits(&self::hello(1, 1)));
    assert!(replica.is_taken(&self::hello(8, 66)), "one more stranger");
    link(&mut replica, 1);
    assert!(replica.is_taken(&stranger));
}

#[test]
fn replica_on_a_new_disk_is_not_refused_again_after_each_break_of_its_session() {
    let mut replica = replica(2);
    link(&mut replica, 3);
    for now in (10_000..=1_020_000).step_by(10_000) {
        step(&mut replica, Input::Tick { now: Time(now) });
    }
    for run in [9, 9, 10] {
        let hello = hello(run, 77);
        assert!(replica.admits(&hello), "run {run}");
        step(&mut replica, Input::LinkUp { hello });
        let peer = ReplicaId(1);
        step(&mut replica, Input::LinkDown { peer });
        assert!(replica.is_taken(&self::hello(11, 66)), "another one");
    }
}

#[test]
fn store_that_lacks_what_it_acknowledged_halts_and_others_do_not() {
    let acknowledged = |lsn, epoch, of: u32, store: u128| Acknowledged {
        entry: LastEntry {
            epoch,
            lsn: Lsn(lsn),
        },
        stores: [(ReplicaId(of), StoreId(store))].into(),
    };
    let told = |acknowledged| {
        let mut replica = replica(2);
        let hello = Hello {
            acknowledged,
            ..hello(1, 1)
        };
        step(&mut replica, Input::LinkUp { hello })
    };
    let went_back = |lsn| {
        let (peer, lsn) = (ReplicaId(1), Lsn(lsn));
        vec![Effect::Halt(Halt::WentBack { peer, lsn })]
    };
    assert_eq!(told(acknowledged(2, epoch(1, 1), 2, 2)), went_back(2));
    assert_eq!(told(acknowledged(1, epoch(2, 1), 2, 2)), went_back(1));
    // It has the entry; another replica lacks it; an earlier store of this one did.
    assert_eq!(told(acknowledged(1, epoch(1, 1), 2, 2)), []);
    assert_eq!(told(acknowledged(2, epoch(1, 1), 3, 3)), []);
    assert_eq!(told(acknowledged(2, epoch(1, 1), 2, 9)), []);
}

#[test]
fn session_with_a_foreign_cluster_ends_the_older_one() {
    let mut replica = replica(2);
    link(&mut replica, 1);
    let hello = Hello {
        id: ReplicaId(1),
        store: StoreId(99),
        incarnation: Incarnation(2),
        cluster: Some(ClusterId(99)),
        active: false,
        dead: BTreeSet::new(),
        dead_by: Epoch::NONE,
        acknowledged: Acknowledged::default(),
    };
    step(&mut replica, Input::LinkUp { hello });
    let effects = receive(&mut replica, 1, append(epoch(2, 1), 2));
    assert_eq!(effects, []);
    assert_eq!(replica.status().last, Lsn(1));
}

#[test]
fn snapshot_is_installed_only_if_it_is_news_of_the_same_history() {
    let follows = || {
        let mut replica = replica(2);
        link(&mut replica, 1);
        receive(&mut replica, 1, append(epoch(5, 1), 2));
        replica
    };
    let offer = |snapshot| step(&mut follows(), Input::SnapshotFetched { snapshot });
    let good = Snapshot {
        lsn: Lsn(9),
        epochs: EpochHistory::from_iter([(Lsn(1), epoch(1, 1)), (Lsn(2), epoch(5, 1))]),
        config: LoggedConfig {
            lsn: Lsn(7),
            config: config(&[1, 3]),
        },
    };
    assert!(matches!(*offer(good.clone()), [Effect::Install { .. }]));
    let mut diverged = good.clone();
    diverged.epochs = EpochHistory::from_iter([(Lsn(1), epoch(1, 3)), (Lsn(2), epoch(5, 1))]);
    let lsn = Lsn(1);
    assert!(matches!(
        *offer(diverged),
        [Effect::Halt(Halt::Diverged { lsn: at, .. })] if at == lsn
    ));
    let known = Snapshot {
        lsn,
        epochs: EpochHistory::from_iter([(lsn, epoch(1, 1))]),
        config: LoggedConfig {
            lsn,
            config: config(&[1, 2, 3]),
        },
    };
    assert_eq!(offer(known), []);
    let mut foreign = good.clone();
    foreign.config.config.cluster = ClusterId(99);
    assert_eq!(offer(foreign), []);
    let mut later = good.clone();
    later.epochs = EpochHistory::from_iter([(Lsn(1), epoch(1, 1)), (Lsn(2), epoch(6, 1))]);
    assert_eq!(offer(later), [], "of an epoch that this leader cannot know");
    // Nobody is followed.
    let snapshot = good;
    let effects = step(&mut replica(2), Input::SnapshotFetched { snapshot });
    assert_eq!(effects, []);
}

#[test]
fn snapshot_of_what_is_here_already_commits_it() {
    let mut replica = replica(2);
    link(&mut replica, 1);
    receive(&mut replica, 1, append(epoch(5, 1), 2));
    let snapshot = Snapshot {
        lsn: Lsn(2),
        epochs: EpochHistory::from_iter([(Lsn(1), epoch(1, 1)), (Lsn(2), epoch(5, 1))]),
        config: LoggedConfig {
            lsn: Lsn(1),
            config: config(&[1, 2, 3]),
        },
    };
    let effects = step(&mut replica, Input::SnapshotFetched { snapshot });
    assert!(matches!(*effects, [Effect::Apply { .. }]));
    assert_eq!(replica.commit(), Lsn(2));
}

/// A replica of three that was just started; its log holds the first Config.
fn replica(id: u32) -> Replica {
    replica_with(id, Limits::default())
}

fn replica_with(id: u32, limits: Limits) -> Replica {
    let config = config(&[1, 2, 3]);
    let recovered = Recovered {
        promised: epoch(1, 1),
        epochs: EpochHistory::from_iter([(Lsn(1), epoch(1, 1))]),
        start: Lsn(1),
        last: Lsn(1),
        applied: Lsn(1),
        settled: Lsn::ZERO,
        configs: vec![LoggedConfig {
            lsn: Lsn(1),
            config,
        }],
        tail: Vec::new(),
    };
    let settings = Settings {
        id: ReplicaId(id),
        store: StoreId(u128::from(id)),
        incarnation: Incarnation(1),
        roster: [ReplicaId(1), ReplicaId(2), ReplicaId(3)].into(),
        mode: Mode::Available,
        copied: false,
        new_cluster: Some(ClusterId(8)),
        timing: Timing::default(),
        limits,
        now: Time(0),
    };
    Replica::new(settings, recovered)
}

/// Lets the replica hear that nobody leads, so that it stands, and gives its epoch.
fn stand(replica: &mut Replica, peers: &[u32]) -> Epoch {
    for &peer in peers {
        link(replica, peer);
    }
    step(replica, Input::Tick { now: Time(10_000) });
    for &peer in peers {
        let pre_vote_reply = Message::PreVoteReply {
            round: u64::MAX,
            promised: epoch(1, 1),
            hears: None,
            vote_state: vote_state(1, &[1, 2, 3]),
        };
        receive(replica, peer, pre_vote_reply);
    }
    step(replica, Input::Tick { now: Time(20_000) });
    assert_eq!(replica.status().role, RoleKind::Candidate);
    replica.status().epoch
}

/// Lets the replica stand, and the others promise: it leads in the epoch that is given.
fn lead(replica: &mut Replica) -> Epoch {
    let epoch = stand(replica, &[2, 3]);
    for peer in [2, 3] {
        receive(replica, peer, promised(epoch, vote_state(1, &[1, 2, 3])));
    }
    step(replica, Input::Tick { now: Time(30_000) });
    epoch
}

fn link(replica: &mut Replica, peer: u32) {
    link_in_run(replica, peer, 1);
}

fn link_in_run(replica: &mut Replica, peer: u32, run: u64) {
    let hello = Hello {
        id: ReplicaId(peer),
        store: StoreId(u128::from(peer)),
        incarnation: Incarnation(run),
        cluster: Some(ClusterId(7)),
        active: false,
        dead: BTreeSet::new(),
        dead_by: Epoch::NONE,
        acknowledged: Acknowledged::default(),
    };
    step(replica, Input::LinkUp { hello });
}

fn receive(replica: &mut Replica, from: u32, message: Message) -> Vec<Effect> {
    let from = ReplicaId(from);
    step(replica, Input::Received { from, message })
}

/// One step, and those that follow from its writes.
fn step(replica: &mut Replica, input: Input) -> Vec<Effect> {
    let mut effects = replica.step(input);
    let mut done = 0;
    while let Some(effect) = effects.get(done) {
        done += 1;
        if let Effect::Persist(write) = effect {
            let write = write.id;
            effects.extend(replica.step(Input::Persisted { write }));
        }
    }
    effects
}

fn epoch(number: u64, proposer: u32) -> Epoch {
    let proposer = ReplicaId(proposer);
    Epoch { number, proposer }
}

fn config(members: &[u32]) -> Config {
    let members = members.iter();
    let members: BTreeMap<_, _> = members
        .map(|&id| (ReplicaId(id), StoreId(u128::from(id))))
        .collect();
    Config {
        cluster: ClusterId(7),
        mode: Mode::Available,
        members,
        dead: BTreeSet::new(),
    }
}

/// Of a log whose last entry is the Config at `lsn`.
fn vote_state(lsn: u64, members: &[u32]) -> VoteState {
    VoteState {
        last_entry: LastEntry {
            epoch: epoch(1, if lsn == 1 { 1 } else { 2 }),
            lsn: Lsn(lsn),
        },
        commit: Lsn(1),
        trimmed: LastEntry::default(),
        configs: vec![LoggedConfig {
            lsn: Lsn(lsn),
            config: config(members),
        }],
        active: false,
        leaving: false,
        stalled: false,
    }
}

fn promised(epoch: Epoch, vote_state: VoteState) -> Message {
    Message::Promised { epoch, vote_state }
}

/// One entry, said to follow the first.
fn append(epoch: Epoch, lsn: u64) -> Message {
    Message::Append(Append {
        epoch,
        prev_lsn: Lsn(1),
        prev_epoch: self::epoch(1, 1),
        entries: vec![Entry {
            lsn: Lsn(lsn),
            epoch,
            payload: Payload::Command("x".into()),
        }],
        commit: Lsn(1),
        last: Lsn(lsn),
        config_lsn: Lsn(1),
        member: true,
        released: false,
        sent_at: Time(0),
        nonce: 1,
    })
}

#[test]
fn append_that_a_snapshot_overtook_halts_nobody_and_a_leader_that_lost_entries_does() {
    let mut replica = replica(2);
    link(&mut replica, 1);
    let leading = epoch(5, 1);
    let empty = |last, sent_at| {
        Message::Append(Append {
            epoch: leading,
            prev_lsn: Lsn(1),
            prev_epoch: epoch(1, 1),
            entries: Vec::new(),
            commit: Lsn(1),
            last: Lsn(last),
            config_lsn: Lsn(1),
            member: true,
            released: false,
            sent_at: Time(sent_at),
            nonce: 1,
        })
    };
    receive(&mut replica, 1, empty(5, 1));
    let snapshot = Snapshot {
        lsn: Lsn(9),
        epochs: EpochHistory::from_iter([(Lsn(1), epoch(1, 1)), (Lsn(2), leading)]),
        config: LoggedConfig {
            lsn: Lsn(7),
            config: config(&[1, 2, 3]),
        },
    };
    step(&mut replica, Input::SnapshotFetched { snapshot });
    let halts = |effects: &[Effect]| effects.iter().any(|e| matches!(e, Effect::Halt(_)));
    assert!(!halts(&receive(&mut replica, 1, empty(6, 2))));
    assert!(!halts(&receive(&mut replica, 1, empty(9, 3))));
    let mut other = self::replica(2);
    link(&mut other, 1);
    receive(&mut other, 1, append(leading, 2));
    assert!(
        !halts(&receive(&mut other, 1, empty(1, 0))),
        "an overtaken one"
    );
    assert!(halts(&receive(&mut other, 1, empty(1, 4))));
}
