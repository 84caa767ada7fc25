//! The replicated state: the same on every replica, kept whole by a full disk, and pinned where
//! a Checkpoint stands.

use super::*;
use crate::{commands::version_needed, roster::Roster, state_hash::TABLES};
use tercet_proto::log::ProgramRun;

/// Numbers that look random, the same for the same seed (splitmix64).
pub(super) struct Numbers(pub(super) u64);

impl Numbers {
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}

/// The kinds of commands that builds of command version 1 have, as `life_of` counts them.
pub(super) const KINDS_OF_VERSION_1: u64 = 16;
/// The same, and those about blocks.
pub(super) const KINDS_WITHOUT_ROOMS: u64 = KINDS_OF_VERSION_1 + 3;
/// The kinds of commands of this build.
const KINDS: u64 = KINDS_WITHOUT_ROOMS + 28;

/// Commands of every kind, valid and not, with retries and reused ids, over few accounts.
pub(super) fn life(seed: u64, count: usize) -> Vec<Command> {
    life_of(KINDS, seed, count)
}

/// Commands of the first kinds. New kinds come last, so that the log of the earlier ones stays what it is.
pub(super) fn life_of(kinds: u64, seed: u64, count: usize) -> Vec<Command> {
    let mut numbers = Numbers(seed);
    let mut commands: Vec<Command> = Vec::new();
    for n in 0..count {
        let back = numbers.below(40) as usize + 1;
        let earlier = commands
            .len()
            .checked_sub(back)
            .map(|at| commands[at].clone());
        if let Some(mut again) = earlier.filter(|_| numbers.below(8) == 0) {
            if numbers.below(4) == 0 {
                again.action = Some(create("reuse"));
            }
            commands.push(again);
            continue;
        }
        // Mostly ids that some CreateAccount may have made: the LSNs of those.
        let creates = (1..)
            .zip(&commands)
            .filter(|(_, command)| matches!(command.action, Some(Action::CreateAccount(_))));
        let mut ids: Vec<u64> = creates.map(|(lsn, _)| lsn).collect();
        ids.push(n as u64);
        let account = ids[numbers.below(ids.len() as u64) as usize];
        let name = format!("User{}", numbers.below(6));
        let logins = commands.iter().filter_map(|command| match &command.action {
            Some(Action::CreateSession(login)) => Some((login.account_id, login.token_hash[0])),
            _ => None,
        });
        let logins: Vec<(u64, u8)> = logins.collect();
        let (by, token) = match logins.len() {
            0 => (0, 0),
            count => logins[numbers.below(count as u64) as usize],
        };
        let action = match numbers.below(kinds) {
            12 => {
                let made = by.checked_sub(1).map(|at| &commands[at as usize].action);
                let hash = match made {
                    Some(Some(Action::CreateAccount(create))) => create.password_hash.clone(),
                    _ => "none".to_owned(),
                };
                let new = if numbers.below(8) == 0 { "new" } else { &hash };
                change_password(by, token, &hash, new)
            }
            13 => end_others(by, token),
            29 => {
                let (name, token) = (numbers.below(3), numbers.below(200));
                create_token(account, &format!("token {name}"), token as u8)
            }
            30 => revoke_token(account, &format!("token {}", numbers.below(3))),
            31 => update_profile(
                account,
                Some(["", "Ann", "Bob"][numbers.below(3) as usize]),
                None,
            ),
            38..41 => change_action(&mut numbers, account),
            41 | 42 => {
                let conversation = match numbers.below(2) {
                    0 => format!("#room{}", numbers.below(3)),
                    _ => name,
                };
                match numbers.below(3) {
                    0 => mark_unread(account, &conversation, numbers.below(9)),
                    _ => mark_read(account, &conversation, numbers.below(60)),
                }
            }
            43 => state_action(&mut numbers, account, n),
            44 => mention_action(&mut numbers, account, n),
            45 if numbers.below(3) == 0 => retention_action(&mut numbers, account),
            45 => {
                // Rooms have the LSNs of the commands that made them.
                let makes =
                    |command: &Command| matches!(command.action, Some(Action::CreateRoom(_)));
                let rooms = (1..).zip(&commands).filter(|(_, command)| makes(command));
                let mut ids: Vec<u64> = rooms.map(|(lsn, _)| lsn).collect();
                ids.push(0);
                let id = ids[numbers.below(ids.len() as u64) as usize];
                commands.push(remove_expired(id));
                continue;
            }
            46 => level_action(&mut numbers, account),
            14 => {
                commands.push(clean_up());
                continue;
            }
            0 | 1 => create(&name),
            2 => log_in(
                account,
                numbers.below(20) as u8,
                1_000 + numbers.below(900) as i64,
            ),
            3 => log_out(account, numbers.below(20) as u8),
            4 if numbers.below(3) == 0 => delete(account),
            5 => {
                let ids: Vec<Bytes> = (0..8)
                    .map(|_| request_id(u128::from(numbers.below(n as u64 + 1))))
                    .collect();
                acknowledge(account, &ids.iter().collect::<Vec<_>>())
            }
            6 if numbers.below(4) == 0 => {
                commands.push(checkpoint());
                continue;
            }
            7 | 8 => roster_action(&mut numbers),
            16 | 17 => block(account, &name, numbers.below(2) == 0),
            18 => unblock(account, &name),
            32..38 => messages::action(&mut numbers, account, n),
            19..29 => room_action(&mut numbers, account, n),
            _ => send(account, &name, &format!("body {n}")),
        };
        commands.push(Command {
            request_id: request_id(n as u128),
            stamp_ms: 1_000 + n as i64 - numbers.below(20) as i64,
            version: match mentions_anybody(&action) {
                true => 3,
                false => version_needed(&action).max(numbers.below(2) as u32),
            },
            stamp_ahead_ms: 0,
            action: Some(action),
        });
    }
    commands
}

fn room_action(numbers: &mut Numbers, account: u64, n: usize) -> Action {
    let room = format!("Room{}", numbers.below(3));
    match numbers.below(10) {
        0 => Action::CreateRoom(CreateRoom {
            account_id: account,
            name: room,
            topic: String::new(),
            is_public: numbers.below(3) > 0,
            is_announce_only: numbers.below(3) == 0,
            is_feed: n.is_multiple_of(4),
        }),
        1..4 => join(account, &room),
        4 => leave(account, &room),
        5 | 6 => invite(account, &room, &format!("User{}", numbers.below(7))),
        _ => send_to_room(account, &room, &format!("body {n}")),
    }
}

fn level_action(numbers: &mut Numbers, account: u64) -> Action {
    let conversation = match numbers.below(2) {
        0 => format!("#Room{}", numbers.below(3)),
        _ => format!("User{}", numbers.below(7)),
    };
    match numbers.below(3) {
        0 => set_keyword(
            account,
            ["tea", "Tea", "green"][numbers.below(3) as usize],
            numbers.below(3) == 0,
        ),
        _ => set_level(
            account,
            &conversation,
            [Level::All, Level::Mentions, Level::None][numbers.below(3) as usize],
        ),
    }
}

fn mentions_anybody(action: &Action) -> bool {
    matches!(action, Action::SendToRoom(send) if send.body.contains('@'))
}

pub(super) fn mention_action(numbers: &mut Numbers, account: u64, n: usize) -> Action {
    let room = &format!("Room{}", numbers.below(3));
    let other = format!("User{}", numbers.below(7));
    match numbers.below(9) {
        7 => ban(account, room, &other),
        8 => promote(account, room, &other, Role::Member),
        0 => change_room(
            account,
            room,
            Change::RestrictsMentions(numbers.below(2) == 0),
        ),
        1 => send_while_here(account, room, &format!("@room {n}"), &[]),
        2 => send_while_here(
            account,
            room,
            &format!("@here {n}"),
            &[account, account + 1],
        ),
        3 => edit(
            account,
            &format!("#{room}"),
            numbers.below(9),
            &format!("@{other} and @here {n}"),
        ),
        _ => send_while_here(account, room, &format!("@{other} {n}"), &[]),
    }
}

fn change_action(numbers: &mut Numbers, account: u64) -> Action {
    let room = &format!("Room{}", numbers.below(3));
    let other = format!("User{}", numbers.below(7));
    match numbers.below(16) {
        0 => kick(account, room, &other),
        1 | 2 | 12.. => ban(account, room, &other),
        3 => unban(account, room, &other),
        4..8 => {
            let role = [Role::Member, Role::Admin, Role::Owner][numbers.below(3) as usize];
            promote(account, room, &other, role)
        }
        8 => change_room(account, room, Change::Topic(other)),
        9 => {
            let name = format!("room{}", numbers.below(4));
            change_room(account, room, Change::Name(name))
        }
        10 if account.is_multiple_of(2) => {
            change_room(account, room, Change::KeepsEdits(numbers.below(3) > 0))
        }
        10 => change_room(account, room, Change::IsPublic(numbers.below(3) > 0)),
        _ if numbers.below(3) == 0 => change_room(account, room, Change::Archive(true)),
        _ => {
            let only = numbers.below(2) == 0;
            change_room(account, room, Change::IsAnnounceOnly(only))
        }
    }
}

fn state_action(numbers: &mut Numbers, account: u64, n: usize) -> Action {
    let conversation = match numbers.below(3) {
        0 => format!("User{}", numbers.below(7)),
        _ => format!("#Room{}", numbers.below(3)),
    };
    let expected = [None, Some(0), Some(n as u64 / 2)][numbers.below(3) as usize];
    let value = (numbers.below(4) > 0).then(|| format!("value {n}"));
    let key = format!("key/{}", numbers.below(2));
    let mut action = set_state(account, &conversation, &key, expected, value.as_deref());
    if let Action::SetState(set) = &mut action
        && numbers.below(3) == 0
    {
        set.program_run = Some(ProgramRun {
            digest: Bytes::from_static(&[7; 32]),
            answer: "1".into(),
            unchanged: numbers.below(4) == 0,
        });
    }
    action
}

fn retention_action(numbers: &mut Numbers, account: u64) -> Action {
    let keep_ms = [0, 50, 300][numbers.below(3) as usize];
    match numbers.below(2) {
        0 => set_retention(keep_ms),
        _ => {
            let room = format!("Room{}", numbers.below(3));
            change_room(account, &room, Change::RetentionMs(keep_ms))
        }
    }
}

fn roster_action(numbers: &mut Numbers) -> Action {
    let id = numbers.below(12) as u32 + 1;
    let at = numbers.below(14) as u32 + 1;
    match numbers.below(12) {
        0 => found(&[1, 2, 3]),
        1 | 2 => move_to(id, at),
        3 => remove(id, numbers.below(12) as u32),
        4 => add(id, at),
        _ => add(id, id),
    }
}

struct Lived {
    applied: Vec<Applied>,
    snapshots: Vec<(u64, [u8; 32])>,
    hash: [u8; 32],
    roster: Option<Roster>,
}

/// Lives it in batches of up to `batch_max` entries, Persist running ahead of Apply.
fn live(commands: &[Command], batch_max: u64, restart: bool) -> Lived {
    let mut store = TestStore::new();
    // Rows are looked at here, not power losses: no waiting for the disk.
    let prepare = |writer: &mut Writer| {
        writer.request_limits.entries_min = 50;
        writer
            .connection
            .pragma_update(None, "synchronous", "OFF")
            .unwrap();
    };
    prepare(&mut store.writer);
    let mut numbers = Numbers(batch_max);
    let mut waiting = Vec::new();
    let mut lived = Lived {
        applied: Vec::new(),
        snapshots: Vec::new(),
        hash: [0; 32],
        roster: None,
    };
    let mut done = 0;
    while done < commands.len() || !waiting.is_empty() {
        let count = (numbers.below(batch_max) + 1).min((commands.len() - done) as u64) as usize;
        let entries = store.entries(&commands[done..done + count]);
        done += count;
        let ready = std::mem::replace(&mut waiting, entries.clone());
        let executed = store
            .writer
            .execute(&[persist(entries), WriteOp::Apply(ready)])
            .unwrap();
        lived.applied.extend(executed.applied);
        lived.roster = executed.roster.or(lived.roster);
        let snapshots = executed.snapshots.into_iter();
        lived
            .snapshots
            .extend(snapshots.map(|(lsn, state)| (lsn, state.hash().unwrap())));
        if restart && numbers.below(5) == 0 {
            store.dir = crashed(store.path());
            let opened = reopen(store.path()).unwrap();
            assert_eq!(opened.recovered.tail, waiting);
            assert_eq!(opened.roster, lived.roster);
            (store.writer, store.readers) = (opened.writer, opened.readers);
            prepare(&mut store.writer);
        }
    }
    lived.hash = store.state_hash();
    lived
}

#[test]
fn the_size_of_batches_and_restarts_do_not_change_the_state() {
    for seed in [1, 2, 3] {
        println!("seed {seed}");
        let commands = life(seed, 1_500);
        let one = live(&commands, 1, false);
        assert_eq!(one.applied.len(), commands.len());
        assert!(one.snapshots.len() > 1, "{}", one.snapshots.len());
        for (batch_max, restart) in [(7, false), (200, false), (30, true)] {
            let other = live(&commands, batch_max, restart);
            assert_eq!(other.applied, one.applied);
            assert_eq!(other.snapshots, one.snapshots);
            assert_eq!(other.hash, one.hash);
            assert_eq!(other.roster, one.roster);
        }
    }
}

#[test]
fn the_commands_of_that_test_reach_every_outcome() {
    let lived = (1..100).flat_map(|seed| live(&life(seed, 1_000), 64, false).applied);
    let applied: Vec<Applied> = lived.collect();
    let mut kinds: Vec<String> = applied
        .iter()
        .map(|applied| match result(applied) {
            outcome::Result::Refused(refused) => refused.reason().as_str_name().to_owned(),
            other => format!("{other:?}")
                .split(['(', ' '])
                .next()
                .unwrap()
                .to_owned(),
        })
        .collect();
    kinds.sort();
    kinds.dedup();
    // `messages.rs` changes a deleted message, and reaches the limits.
    assert_eq!(kinds.len(), 21 + 33, "{kinds:?}");
    let dropped = |applied: &Applied| {
        applied.events.iter().any(|event| {
            matches!(event, Event::Change { row, .. }
                if matches!(row.what, What::MessagesDropped(_)))
        })
    };
    assert!(applied.iter().any(dropped));
}

#[test]
fn any_difference_in_the_state_changes_its_hash() {
    let harm = [
        "UPDATE messages SET body = 'Hello'",
        "UPDATE messages SET delivered = 1",
        "UPDATE users SET deleted_at_lsn = 2 WHERE id = 2",
        "DELETE FROM sessions",
        "UPDATE sessions SET generation = 1",
        "UPDATE sessions SET label = 'ann''s phone'",
        "UPDATE users SET session_generation = 1 WHERE id = 1",
        "UPDATE api_tokens SET scopes = 7",
        "DELETE FROM api_tokens",
        "UPDATE profiles SET status_text = 'away'",
        "INSERT INTO cleanups VALUES (1, 0, x'')",
        "UPDATE answers SET outcome = x'' WHERE lsn = 1",
        "UPDATE requests SET lsn = 9 WHERE lsn = 1",
        "UPDATE position SET last_stamp_ms = last_stamp_ms + 1",
        "UPDATE conversations SET high_account = 9",
        "UPDATE blocks SET refuse = 1",
        "INSERT INTO hidden_messages VALUES (2, 1, 4)",
        "UPDATE rooms SET topic = 'another'",
        "UPDATE members SET read_seq = 2",
        "UPDATE room_messages SET seq = 2",
        "INSERT INTO replies VALUES (1, 2, 1)",
        "INSERT INTO edits VALUES (1, 2, 3, NULL, NULL)",
        "INSERT INTO reactions VALUES (1, '+1', 1)",
        "INSERT INTO direct_parts VALUES (1)",
        "UPDATE rooms SET keeps_edits = 1",
        "UPDATE rooms SET is_feed = 1",
        "INSERT INTO earlier_texts VALUES (1, 2, 'x', 3, 4)",
        "INSERT INTO pins VALUES (1, 2, 3, 4, 5, 6)",
        "UPDATE changes SET lsn = lsn + 100",
        "INSERT INTO retention VALUES (5, 3600000)",
        "INSERT INTO history_starts VALUES (5, 2, 9, 10)",
        "INSERT INTO changes_forgotten VALUES (1, 1)",
        "INSERT INTO bans VALUES (5, 2, 1, 0)",
        "UPDATE mentions SET kind = 3",
        "INSERT INTO mention_limits VALUES (5)",
        "INSERT INTO levels VALUES (1, 5, 2)",
        "INSERT INTO keywords VALUES (1, 'tea', 'Tea')",
        "UPDATE state SET value = '2'",
        "UPDATE state_totals SET bytes = 2",
    ];
    let mut store = TestStore::new();
    let ann = store.register("ann");
    store.register("bob");
    store.act(log_in(ann, 1, 9_000));
    store.act(create_token(ann, "bot", 7));
    store.act(update_profile(ann, Some("Ann"), None));
    store.send(ann, "bob", "hello");
    store.act(create_room(ann, "tea", true));
    store.act(invite(ann, "tea", "bob"));
    store.act(send_to_room(ann, "tea", "@bob"));
    store.act(block(ann, "bob", false));
    store.act(set_state(ann, "#tea", "count", None, Some("1")));
    let hash = store.state_hash();
    assert_eq!(store.state_hash(), hash);
    for sql in harm {
        let copy = crashed(store.path());
        assert!(raw(copy.path()).execute(sql, []).unwrap() > 0);
        let snapshot = crate::StateSnapshot::pin(copy.path()).unwrap();
        assert_ne!(snapshot.hash().unwrap(), hash, "{sql}");
    }
}

#[test]
fn what_belongs_to_one_replica_is_not_in_the_hash() {
    let mut store = TestStore::new();
    store.register("ann");
    let hash = store.state_hash();
    let mut promise = write(entries(2, &[checkpoint()]));
    promise.promised = Some(Epoch {
        number: 9,
        proposer: ReplicaId(3),
    });
    store.writer.execute(&[WriteOp::Persist(promise)]).unwrap();
    assert_eq!(store.state_hash(), hash);
}

#[test]
fn the_hash_covers_every_table_and_column_of_the_state() {
    let store = TestStore::new();
    let connection = raw(store.path());
    let mut select = connection
        .prepare(
            "SELECT t.name, group_concat(c.name, ', ' ORDER BY c.cid)
             FROM pragma_table_list AS t, pragma_table_info(t.name) AS c
             WHERE t.schema = 'main' AND t.name NOT LIKE 'sqlite_%' AND c.name != 'settled_lsn'
             GROUP BY t.name ORDER BY t.name",
        )
        .unwrap();
    let found: Vec<(String, String)> = select
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap()
        .map(Result::unwrap)
        .filter(|(table, _): &(String, String)| {
            !matches!(
                table.as_str(),
                "identity"
                    | "log"
                    | "log_base"
                    | "base_epochs"
                    | "indexed"
                    | "store_use"
                    | "conversation_messages"
                    | "conversation_counts"
                    | "hidden_index"
                    | "waiting_messages"
                    | "room_index"
                    | "room_senders"
            )
        })
        .collect();
    let mut hashed: Vec<(String, String)> = TABLES
        .iter()
        .map(|table| (table.name.to_owned(), table.columns()))
        .collect();
    hashed.sort();
    assert_eq!(found, hashed);
}

/// Computed by the build before requests had fingerprints. A replica of that build and one of this build compare
/// their hashes.
#[test]
fn state_of_a_log_has_the_hash_that_earlier_builds_compute() {
    let mut store = TestStore::new();
    store.apply_all(&life_of(KINDS_OF_VERSION_1, 77, 700));
    let hash = store.state_hash().map(|byte| format!("{byte:02x}"));
    assert_eq!(
        hash.concat(),
        "7d3fb64c761c29fa5175c72de9c01b3200ef531cbfb79684a3eb49c1f821df0a"
    );
}

#[test]
fn a_snapshot_stays_as_it_was_at_its_checkpoint() {
    let mut store = TestStore::new();
    let commands = [
        store.command(create("ann")),
        checkpoint(),
        store.command(send(1, "ann", "after the first")),
        checkpoint(),
        checkpoint(),
        store.command(send(1, "ann", "after the last")),
    ];
    let mut at = Vec::new();
    let mut twin = TestStore::new();
    for command in &commands {
        twin.apply(command);
        if command.request_id.is_empty() {
            at.push((twin.last, twin.state_hash()));
        }
    }
    let entries = store.entries(&commands);
    let ops = [
        persist(entries.clone()),
        WriteOp::Apply(entries[..4].to_vec()),
        WriteOp::Apply(entries[4..].to_vec()),
    ];
    let executed = store.writer.execute(&ops).unwrap();
    let later = store.command(delete(1));
    store.apply(&later);
    store.writer.checkpoint().unwrap();
    let snapshots = executed.snapshots.into_iter();
    let hashes: Vec<(u64, [u8; 32])> = snapshots.map(|(lsn, s)| (lsn, s.hash().unwrap())).collect();
    assert_eq!(hashes, at);
    assert_eq!(executed.applied.len(), 6);
}

/// Lets the file grow by so many pages from here; the file system is "full" beyond.
pub(super) fn leave_room(store: &TestStore, pages: i64) {
    let connection = &store.writer.connection;
    let used: i64 = connection
        .pragma_query_value(None, "page_count", |row| row.get(0))
        .unwrap();
    connection
        .pragma_update_and_check(None, "max_page_count", used + pages, |_| Ok(()))
        .unwrap();
}

#[test]
fn a_full_disk_changes_nothing_and_the_call_can_be_made_again() {
    let mut store = TestStore::new();
    let ann = store.register("ann");
    leave_room(&store, 2);
    let body = "x".repeat(16_000);
    let commands = [
        store.command(send(ann, "ann", "small")),
        store.command(send(ann, "ann", &body)),
    ];
    let entries = store.entries(&commands);
    let ops = [persist(entries.clone()), WriteOp::Apply(entries)];
    let hash = store.state_hash();
    for _ in 0..2 {
        let error = store.writer.execute(&ops).err();
        assert!(matches!(error, Some(StoreError::Full)), "{error:?}");
        assert_eq!(store.state_hash(), hash);
        assert_eq!(store.readers.log_entries(2, 9, 9).unwrap(), []);
    }
    leave_room(&store, 1_000);
    let executed = store.writer.execute(&ops).unwrap();
    assert_eq!(executed.applied.len(), 2);
    assert_eq!(store.waiting(ann), ["small", body.as_str()]);
    let copy = crashed(store.path());
    assert_eq!(reopen(copy.path()).unwrap().recovered.applied, Lsn(3));
}

#[test]
fn a_disk_that_fills_up_after_a_checkpoint_loses_none_of_the_results() {
    let mut store = TestStore::new();
    let ann = store.register("ann");
    leave_room(&store, 3);
    let body = "x".repeat(16_000);
    let commands = [
        store.command(send(ann, "ann", "first")),
        checkpoint(),
        store.command(send(ann, "ann", "second")),
        store.command(send(ann, "ann", &body)),
    ];
    let entries = store.entries(&commands);
    let ops = [
        persist(entries[..3].to_vec()),
        WriteOp::Apply(entries[..3].to_vec()),
        persist(entries[3..].to_vec()),
        WriteOp::Apply(entries[3..].to_vec()),
    ];
    assert!(matches!(store.writer.execute(&ops), Err(StoreError::Full)));
    // What came before the Checkpoint is committed.
    assert_eq!(store.readers.applied().unwrap(), 3);
    assert!(matches!(store.writer.execute(&ops), Err(StoreError::Full)));
    leave_room(&store, 1_000);
    let executed = store.writer.execute(&ops).unwrap();
    let lsns: Vec<u64> = executed.applied.iter().map(|applied| applied.lsn).collect();
    assert_eq!(lsns, [2, 3, 4, 5]);
    assert_eq!(executed.snapshots.len(), 1);
    assert_eq!(store.waiting(ann), ["first", "second", body.as_str()]);
}

#[test]
fn moving_the_wal_starts_it_over() {
    let mut store = TestStore::new();
    let ann = store.register("ann");
    let body = "x".repeat(16_000);
    let wal = store.path().join("tercet.db-wal");
    let mut largest = 0;
    for _ in 0..120 {
        let commands: Vec<Command> = (0..20)
            .map(|_| store.command(send(ann, "ann", &body)))
            .collect();
        store.apply_all(&commands);
        store.writer.checkpoint().unwrap();
        largest = largest.max(fs::metadata(&wal).unwrap().len());
    }
    // 77 MB were written, in a WAL that is moved from 8 MB on.
    assert!(largest < 24 << 20, "{largest}");
}

#[test]
fn a_long_read_does_not_keep_the_writer_waiting() {
    let mut store = TestStore::new();
    let ann = store.register("ann");
    let long = crate::StateSnapshot::pin(store.path()).unwrap();
    store.send(ann, "ann", "after");
    // As if the WAL were as large as it may become.
    store.writer.wal_pages_max = 1;
    let begun = std::time::Instant::now();
    for _ in 0..20 {
        store.writer.checkpoint().unwrap();
    }
    // Once it waits for the reader to end, shortly; then no more until the WAL has grown.
    assert!(begun.elapsed() < std::time::Duration::from_secs(1));
    assert!(store.writer.wal_pages_max > 1_000);
    drop(long);
    store.writer.wal_pages_max = 1;
    store.writer.checkpoint().unwrap();
    assert_eq!(store.writer.wal_pages_max, 64_000);
}

#[test]
fn the_wal_is_moved_beside_the_writer_and_starts_over() {
    let mut store = TestStore::new();
    let ann = store.register("ann");
    let body = "x".repeat(16_000);
    let mut started_over = 0;
    let mut before = 0;
    // Written at full speed, as fast as it can be moved: many times what a WAL may hold.
    while started_over < 3 {
        let commands: Vec<Command> = (0..20)
            .map(|_| store.command(send(ann, "ann", &body)))
            .collect();
        store.apply_all(&commands);
        store.writer.checkpoint_wal().unwrap();
        let (pages, _) = store.writer.wal_size().unwrap();
        assert!(pages < 80_000, "{pages}");
        started_over += u32::from(pages < before);
        before = pages;
    }
    let copy = crashed(store.path());
    assert_eq!(reopen(copy.path()).unwrap().recovered.applied.0, store.last);
}

#[test]
fn a_long_read_does_not_have_the_wal_moved_again_and_again() {
    let mut store = TestStore::new();
    let ann = store.register("ann");
    let long = crate::StateSnapshot::pin(store.path()).unwrap();
    let body = "x".repeat(16_000);
    let mut moved = std::collections::BTreeSet::new();
    while store.writer.wal_size().unwrap().0 < 10_000 {
        let commands: Vec<Command> = (0..20)
            .map(|_| store.command(send(ann, "ann", &body)))
            .collect();
        store.apply_all(&commands);
        store.writer.checkpoint_wal().unwrap();
        moved.insert(store.writer.wal_size().unwrap().1);
    }
    // Up to where the reader stands, at most, and no more.
    assert!(moved.len() <= 2, "{moved:?}");
    drop(long);
    while store.writer.wal_size().unwrap().0 >= 10_000 {
        store.send(ann, "ann", &body);
        store.writer.checkpoint_wal().unwrap();
    }
}

#[test]
fn somebody_else_who_moves_the_wal_harms_nobody() {
    let mut store = TestStore::new();
    let ann = store.register("ann");
    let body = "x".repeat(16_000);
    let dir = store.path().to_owned();
    let done = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let seen = done.clone();
    let other = std::thread::spawn(move || {
        let connection = raw(&dir);
        while !seen.load(std::sync::atomic::Ordering::Relaxed) {
            let moved = connection.pragma_query(None, "wal_checkpoint", |_| Ok(()));
            moved.unwrap();
        }
    });
    for _ in 0..100 {
        let commands: Vec<Command> = (0..20)
            .map(|_| store.command(send(ann, "ann", &body)))
            .collect();
        store.apply_all(&commands);
        store.writer.checkpoint_wal().unwrap();
    }
    done.store(true, std::sync::atomic::Ordering::Relaxed);
    other.join().unwrap();
}
