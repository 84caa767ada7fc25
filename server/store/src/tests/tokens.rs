//! API tokens: their names, their number, and what ends them.

use tercet_types::limits::ACCOUNT_TOKENS_MAX;

use super::*;
use crate::{
    accounts::Scopes,
    commands::version_needed,
    queries::{ApiTokens, SessionByToken},
};

fn names(store: &TestStore, account_id: u64) -> Vec<String> {
    let tokens = store.readers.read(&ApiTokens { account_id }).unwrap();
    tokens.into_iter().map(|token| token.name).collect()
}

fn scopes(store: &TestStore, token: u8) -> Option<Scopes> {
    let token_hash = [token; 32];
    let found = store.readers.read(&SessionByToken { token_hash }).unwrap();
    found.and_then(|session| session.scopes)
}

#[test]
fn a_token_is_found_by_its_hash_until_it_is_revoked() {
    let mut store = TestStore::new();
    let ann = store.register("ann");
    let bob = store.register("bob");
    store.act(create_token(ann, "bot", 1));
    store.act(create_token(bob, "bot", 2));
    assert_eq!(scopes(&store, 1), Some(Scopes(3)));
    let taken = store.act(create_token(ann, "bot", 3));
    assert_eq!(refused(&taken), Refusal::TokenNameTaken);
    let revoked = store.act(revoke_token(ann, "bot"));
    let token_hash = [1; 32];
    assert!(
        matches!(&revoked.events[..], [Event::SessionEnded { token_hash: ended, .. }] if *ended == token_hash)
    );
    assert_eq!(scopes(&store, 1), None);
    assert_eq!(scopes(&store, 2), Some(Scopes(3)), "another account's");
    let again = store.act(revoke_token(ann, "bot"));
    assert_eq!(refused(&again), Refusal::UnknownToken);
}

#[test]
fn an_account_has_a_limited_number_of_tokens() {
    let mut store = TestStore::new();
    let ann = store.register("ann");
    for number in 0..ACCOUNT_TOKENS_MAX {
        let made = store.act(create_token(ann, &format!("bot {number}"), number as u8));
        assert!(matches!(result(&made), outcome::Result::ApiTokenCreated(_)));
    }
    let refusal = store.act(create_token(ann, "one more", 200));
    assert_eq!(refused(&refusal), Refusal::TooManyTokens);
    store.act(revoke_token(ann, "bot 7"));
    store.act(create_token(ann, "one more", 200));
    assert_eq!(names(&store, ann).len(), ACCOUNT_TOKENS_MAX);
}

#[test]
fn tokens_outlive_a_password_unless_asked_and_end_with_their_account() {
    let mut store = TestStore::new();
    let ann = store.register("ann");
    store.act(log_in(ann, 1, 9_000));
    store.act(create_token(ann, "bot", 2));
    store.act(end_others(ann, 1));
    store.act(change_password(ann, 1, "hash of ann", "second"));
    assert_eq!(names(&store, ann), ["bot"]);
    let mut change = change_password(ann, 1, "second", "third");
    if let Action::ChangePassword(change) = &mut change {
        change.revoke_api_tokens = true;
    }
    assert_eq!(version_needed(&change), 2, "older builds would leave them");
    store.act(change);
    assert_eq!(names(&store, ann), [""; 0]);
    store.act(create_token(ann, "bot", 3));
    store.act(delete(ann));
    assert_eq!(scopes(&store, 3), None);
    let sql = "SELECT count(*) FROM api_tokens";
    let left: u64 = raw(store.path())
        .query_row(sql, [], |row| row.get(0))
        .unwrap();
    assert_eq!(left, 0);
}
