//! Sessions that are made and swept while a clock is wrong.

use tercet_proto::log::CorrectSessions;

use super::*;

const DAY: i64 = 86_400_000;
/// In November 2026.
const NOW: i64 = 1_795_824_000_000;
const TTL: i64 = 30 * DAY;

/// A login when cluster time was `made_at_ms` and the last stamp `stamp_ms`.
fn logs_in(store: &mut TestStore, account: u64, token: u64, made_at_ms: i64, stamp_ms: i64) {
    let mut token_hash = [0; 32];
    token_hash[..8].copy_from_slice(&token.to_be_bytes());
    let action = Action::CreateSession(CreateSession {
        label: String::new(),
        account_id: account,
        token_hash: Bytes::copy_from_slice(&token_hash),
        expires_at_ms: made_at_ms + TTL,
        made_at_ms,
        password_digest: Bytes::new(),
    });
    let command = Command {
        version: 1,
        stamp_ms,
        ..store.command(action)
    };
    store.apply(&command);
}

/// Tokens that are there, with when they end.
fn sessions(store: &TestStore) -> Vec<(u64, i64)> {
    let connection = raw(store.path());
    let sql = "SELECT token_hash, expires_at_ms FROM sessions ORDER BY token_hash";
    let mut select = connection.prepare(sql).unwrap();
    let session = |row: &rusqlite::Row<'_>| {
        let hash: [u8; 32] = row.get(0)?;
        let token = u64::from_be_bytes(hash[..8].try_into().unwrap());
        Ok((token, row.get(1)?))
    };
    let rows = select.query_map([], session).unwrap();
    rows.collect::<Result<_, _>>().unwrap()
}

#[test]
fn a_login_at_a_wrong_time_deletes_no_session() {
    let mut store = TestStore::new();
    let ann = store.register("ann");
    let ahead = NOW + 40 * DAY;
    logs_in(&mut store, ann, 1, NOW, NOW);
    // The clock is wrong, and then only the stamps are.
    logs_in(&mut store, ann, 2, ahead, ahead);
    logs_in(&mut store, ann, 3, NOW + 1, ahead + 1);
    let expected = [(1, NOW + TTL), (2, ahead + TTL), (3, NOW + 1 + TTL)];
    assert_eq!(sessions(&store), expected);
}

#[test]
fn sessions_that_have_ended_go_when_an_account_has_many() {
    let mut store = TestStore::new();
    let ann = store.register("ann");
    let bob = store.register("bob");
    logs_in(&mut store, bob, 1_000, NOW, NOW);
    for token in 0..150 {
        logs_in(&mut store, ann, token, NOW + token as i64, NOW);
    }
    // None of them has ended.
    assert_eq!(sessions(&store).len(), 151);
    let later = NOW + 60 * DAY;
    logs_in(&mut store, ann, 500, later, later);
    let left: Vec<u64> = sessions(&store).iter().map(|(token, _)| *token).collect();
    let newest: Vec<u64> = (50..150).chain([500, 1_000]).collect();
    assert_eq!(left, newest, "a hundred stayed, beside the new one");
}

#[test]
fn commands_of_version_0_sweep_by_the_stamp_as_ever() {
    let mut store = TestStore::new();
    let ann = store.register("ann");
    logs_in(&mut store, ann, 1, NOW, NOW);
    let mut command = store.command(log_in(ann, 9, NOW + 90 * DAY));
    command.stamp_ms = NOW + 40 * DAY;
    command.version = 0;
    store.apply(&command);
    assert_eq!(sessions(&store).len(), 1);
}

#[test]
fn sessions_that_were_made_at_a_wrong_time_live_no_longer_than_others() {
    let mut store = TestStore::new();
    let ann = store.register("ann");
    let ahead = NOW + 40 * DAY;
    logs_in(&mut store, ann, 1, NOW - DAY, NOW);
    logs_in(&mut store, ann, 2, NOW + 30_000, NOW);
    logs_in(&mut store, ann, 3, ahead, ahead);
    assert!(store.readers.has_session_made_after(NOW + 60_000).unwrap());
    let correct = Action::CorrectSessions(CorrectSessions {
        now_ms: NOW,
        ttl_ms: TTL,
    });
    let applied = store.act(correct);
    let outcome::Result::SessionsCorrected(corrected) = result(&applied) else {
        panic!("{applied:?}");
    };
    assert_eq!(corrected.count, 1);
    assert!(!store.readers.has_session_made_after(NOW + 60_000).unwrap());
    let expected = [
        (1, NOW - DAY + TTL),
        (2, NOW + 30_000 + TTL),
        (3, NOW + TTL),
    ];
    assert_eq!(sessions(&store), expected);
}

#[test]
fn sessions_that_end_by_request_are_counted_by_time_and_not_by_stamps_that_are_ahead() {
    let mut store = TestStore::new();
    let ann = store.register("ann");
    let ahead = NOW + 40 * DAY;
    for token in 1..=3 {
        logs_in(&mut store, ann, token, NOW, ahead);
    }
    logs_in(&mut store, ann, 4, NOW - 31 * DAY, ahead);
    let mut token_hash = [0; 32];
    token_hash[7] = 1;
    let applied = store.act(Action::EndOtherSessions(EndOtherSessions {
        account_id: ann,
        token_hash: Bytes::copy_from_slice(&token_hash),
        now_ms: NOW,
    }));
    let outcome::Result::OtherSessionsEnded(ended) = result(&applied) else {
        panic!("{applied:?}");
    };
    assert_eq!(ended.sessions_ended, 2, "and one had ended before");
}

#[test]
fn a_label_is_kept_from_version_2_on() {
    let mut store = TestStore::new();
    let ann = store.register("ann");
    let mut labels = |version: u32, token: u8| {
        let mut action = log_in(ann, token, 9_000_000);
        if let Action::CreateSession(create) = &mut action {
            create.label = format!("phone {version}");
        }
        let command = Command {
            version,
            ..store.command(action)
        };
        store.apply(&command);
        let sql = "SELECT label FROM sessions ORDER BY created_at_ms DESC LIMIT 1";
        let label = raw(store.path()).query_row(sql, [], |row| row.get::<_, Option<String>>(0));
        label.unwrap()
    };
    assert_eq!(labels(1, 1), None, "builds of version 1 do not know it");
    assert_eq!(labels(2, 2).as_deref(), Some("phone 2"));
}
