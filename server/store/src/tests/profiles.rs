//! Profiles: changed in parts, shown in lists, and gone with their accounts.

use tercet_proto::v1::UpdateProfileRequest;

use super::*;
use crate::{
    commands::update_profile::validate,
    queries::{AccountsByPattern, Members, ProfileOf},
};

fn profile(store: &TestStore, name: &str) -> Option<(String, String)> {
    let found = store.readers.read(&ProfileOf::Name(name.into())).unwrap();
    found.map(|row| (row.display_name, row.status_text))
}

fn pair(name: &str, status: &str) -> Option<(String, String)> {
    Some((name.to_owned(), status.to_owned()))
}

#[test]
fn a_profile_is_changed_in_parts_and_shown_in_lists() {
    let mut store = TestStore::new();
    let ann = store.register("ann");
    store.register("bob");
    assert_eq!(profile(&store, "ann"), pair("", ""));
    store.act(update_profile(ann, Some("Ann Lee"), None));
    let changed = store.act(update_profile(ann, None, Some("away")));
    assert!(matches!(&changed.events[..], [Event::Change { members, .. }] if **members == [ann]));
    // Nothing changes, and nothing tells of it.
    let same = store.act(update_profile(ann, None, Some("away")));
    assert_eq!(same.events, []);
    assert_eq!(profile(&store, "ANN"), pair("Ann Lee", "away"));
    assert_eq!(profile(&store, "bob"), pair("", ""));
    let own = store.readers.read(&ProfileOf::Id(ann)).unwrap().unwrap();
    assert_eq!((&*own.username, &*own.display_name), ("ann", "Ann Lee"));

    let all = AccountsByPattern {
        pattern: "*".into(),
        after: String::new(),
        limit: 10,
    };
    let page = store.readers.read(&all).unwrap();
    let shown = page
        .rows
        .iter()
        .map(|row| (&*row.username, &*row.display_name));
    assert_eq!(shown.collect::<Vec<_>>(), [("ann", "Ann Lee"), ("bob", "")]);

    store.act(create_room(ann, "tea", true));
    let members = Members {
        account_id: ann,
        room: "tea".into(),
        after: 0,
        limit: 10,
    };
    let (_, page) = store.readers.read(&members).unwrap().unwrap();
    assert_eq!(page.rows[0].display_name, "Ann Lee");

    store.act(update_profile(ann, Some(""), Some("")));
    assert_eq!(profile(&store, "ann"), pair("", ""));
}

#[test]
fn a_profile_goes_with_its_account() {
    let mut store = TestStore::new();
    let ann = store.register("ann");
    store.act(update_profile(ann, Some("Ann Lee"), Some("away")));
    store.act(delete(ann));
    assert_eq!(profile(&store, "ann"), None);
    assert_eq!(
        refused(&store.act(update_profile(ann, Some("x"), None))),
        Refusal::AccountGone
    );
    let next = store.register("ann");
    assert_eq!(profile(&store, "ann"), pair("", ""));
    assert!(next > ann);
}

#[test]
fn texts_are_kept_in_nfc_and_show_all_that_they_have() {
    let request = |name: &str, status: &str| UpdateProfileRequest {
        request_id: "0192c1d0-7a5b-7cde-8f01-23456789abcd".into(),
        display_name: Some(name.into()),
        status_text: Some(status.into()),
    };
    // 64 letters, each of two characters before they are composed.
    let long = "e\u{301}".repeat(64);
    let good = validate(request(&long, "")).unwrap();
    assert_eq!(good.display_name.unwrap(), "é".repeat(64));
    assert_eq!(good.status_text.unwrap(), "");
    for (name, status, field) in [
        ("e\u{301}".repeat(65), String::new(), "display_name"),
        ("a\u{202e}b".into(), String::new(), "display_name"),
        ("a\u{200b}b".into(), String::new(), "display_name"),
        (String::new(), "x".repeat(141), "status_text"),
        (String::new(), "a\nb".into(), "status_text"),
    ] {
        let rejected = validate(request(&name, &status)).err().expect("rejected");
        assert_eq!(rejected.field, field);
    }
}
