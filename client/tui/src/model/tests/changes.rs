//! Edits, deletions, reactions, replies, and changes of rooms.

use tercet_client::{Conversation as Listed, ConversationKind, MemberRole, RoomEdit};

use super::*;

fn changed(cursor: u64, body: &str, edited_at_ms: i64, deleted_at_ms: i64) -> Net {
    Net::Changed {
        cursor: cursor + 1_000,
        message: Box::new(Message {
            message_id: format!("m{cursor}"),
            cursor,
            seq: cursor,
            sender: "bob".to_owned(),
            body: body.to_owned(),
            conversation: "#tea".to_owned(),
            conversation_id: 1,
            edited_at_ms,
            deleted_at_ms,
            ..Message::default()
        }),
    }
}

fn reacted(seq: u64, username: &str, reaction: &str, count: u32, removed: bool) -> Net {
    Net::Reacted {
        cursor: 2_000,
        name: "#tea".to_owned(),
        seq,
        username: username.to_owned(),
        reaction: reaction.to_owned(),
        removed,
        count,
    }
}

fn system(script: &mut Script, cursor: u64, kind: MessageKind, subject: &str, body: &str) {
    script.net(Net::Message(Box::new(Message {
        cursor,
        seq: cursor,
        sender: "bob".to_owned(),
        subject: subject.to_owned(),
        body: body.to_owned(),
        conversation: "#tea".to_owned(),
        conversation_id: 1,
        kind,
        ..Message::default()
    })));
}

/// The last thing that was asked for.
fn last(script: &mut Script) -> Effect {
    let mut effects = std::mem::take(&mut script.effects).into_iter();
    effects
        .rfind(|effect| *effect != Effect::Save)
        .expect("something was asked for")
}

fn change_room(edit: RoomEdit) -> Effect {
    Effect::ChangeRoom {
        room: "#tea".to_owned(),
        edit,
    }
}

/// A script with messages of bob, and one of ann with the number 30.
fn talking() -> Script {
    let mut script = Script::connected();
    script.room_message(20, "bob", "frist");
    script.room_message(21, "bob", "second");
    script.keys("mine<Enter>");
    let (id, to, _) = script.sends().remove(0);
    script.answer(&id, &to, 30);
    script.effects.clear();
    script
}

#[test]
fn edited_and_deleted_messages_change_on_the_screen() {
    let mut script = talking();
    script.net(changed(20, "first", 1, 0));
    script.net(changed(21, "", 0, 1));
    assert!(script.screen().contains("first (edited)"));
    assert!(script.screen().contains("(deleted)") && !script.screen().contains("second"));
    assert_eq!(
        script.model.cursor, 1_021,
        "a start goes on after the change"
    );
}

#[test]
fn replies_reactions_and_what_is_selected_are_on_the_screen() {
    let mut script = talking();
    script.net(changed(
        20,
        "first of a few words that are a quote later",
        1,
        0,
    ));
    script.net(reacted(21, "bob", "👍", 1, false));
    script.net(reacted(21, "ann", "👍", 2, false));
    script.net(reacted(21, "carol", "tea", 1, false));
    script.net(Net::Message(Box::new(Message {
        message_id: "m40".to_owned(),
        cursor: 40,
        seq: 40,
        sender: "carol".to_owned(),
        body: "I agree".to_owned(),
        sent_at_ms: START_MS + 40 * 60_000,
        conversation: "#tea".to_owned(),
        conversation_id: 1,
        reply_to: 20,
        ..Message::default()
    })));
    script.keys("<M-Up><M-Up><M-Up><M-r>because");
    for (columns, rows) in [(80, 24), (40, 12)] {
        script.resize(columns, rows);
        script.assert_screen(&format!("changes-{columns}x{rows}"));
    }
    script.net(reacted(21, "ann", "👍", 1, true));
    script.net(reacted(21, "carol", "tea", 0, true));
    script.resize(80, 24);
    assert!(script.screen().contains("  👍 1\n"));
    assert!(!script.screen().contains("(yours)"));
}

#[test]
fn the_last_own_message_is_edited_by_key_and_by_command() {
    let mut script = talking();
    let edit = |text: &str| Effect::Edit {
        to: "#tea".to_owned(),
        seq: 30,
        text: text.to_owned(),
    };
    script.keys("a draft<M-e>");
    assert_eq!(script.model.input.text(), "mine");
    assert!(script.screen().contains("Enter changes your message"));
    script.keys("<Esc>");
    assert_eq!(script.model.input.text(), "a draft", "nothing is lost");
    script.keys("<M-e>, all mine<Enter>");
    assert_eq!(last(&mut script), edit("mine, all mine"));
    assert_eq!(script.model.input.text(), "a draft");
    assert!(script.screen().contains("mine …"), "it is on its way");
    script.net(Net::Change {
        name: "#tea".to_owned(),
        seq: 30,
        result: Err("not changed: no".to_owned()),
    });
    assert!(script.screen().contains("mine ✓"));
    script.keys("<C-u>/edit another<Enter>");
    assert_eq!(last(&mut script), edit("another"));
    script.keys("/edit<Enter>");
    assert_eq!(script.model.input.text(), "mine");
    script.keys("<Enter>");
    assert!(script.effects.iter().all(|one| *one == Effect::Save));
    assert!(script.notice().contains("as it was"));
}

#[test]
fn what_up_recalls_can_be_edited_in_place_of_being_sent_again() {
    let mut script = talking();
    script.keys("later<Enter>");
    let (id, to, _) = script.sends().remove(0);
    script.answer(&id, &to, 31);
    script.keys("<Up><Up><M-e>!<Enter>");
    let edit = Effect::Edit {
        to: "#tea".to_owned(),
        seq: 30,
        text: "mine!".to_owned(),
    };
    assert_eq!(last(&mut script), edit);
    assert_eq!(script.model.input.text(), "");
}

#[test]
fn a_draft_of_an_edit_never_becomes_a_message_of_another_room_or_run() {
    let root = tempfile::tempdir().unwrap();
    let mut script = talking();
    script.keys("<M-e> and more<C-g>dora<Enter>");
    assert_eq!(script.model.input.text(), "");
    script.keys("hi<Enter>");
    assert_eq!(script.sends()[0].1, "dora");
    script.keys("<M-1>");
    let mut cache = crate::cache::Cache::of(root.path(), "c", "ann");
    cache.changes(&script.model).write().unwrap();
    let mut script = Script::new();
    assert!(cache.restore(&mut script.model));
    script.keys("<Enter>");
    assert_eq!(script.sends(), []);
}

#[test]
fn the_selected_message_is_meant_or_else_the_last() {
    let mut script = talking();
    let react = |seq, reaction: &str, remove| Effect::React {
        to: "#tea".to_owned(),
        seq,
        reaction: reaction.to_owned(),
        remove,
    };
    script.keys("/react :+1:<Enter>");
    assert_eq!(last(&mut script), react(21, "👍", false));
    script.keys("<M-Up><M-Up><M-Up>/unreact 👍<Enter>");
    assert_eq!(last(&mut script), react(20, "👍", true));
    script.keys("/reply so it is<Enter>");
    let sent = Effect::Send {
        id: script
            .model
            .opened()
            .unwrap()
            .items
            .last()
            .unwrap()
            .id
            .clone(),
        to: "#tea".to_owned(),
        text: "so it is".to_owned(),
        reply_to: 20,
    };
    assert_eq!(last(&mut script), sent);
    script.keys("/copy<Enter>");
    assert_eq!(last(&mut script), Effect::Copy("frist".to_owned()));
    script.keys("<Esc><Esc>");
    assert_eq!(script.model.opened().unwrap().selected, None);
    script.keys("<M-r>yes<Enter>");
    let Effect::Send { reply_to, .. } = last(&mut script) else {
        panic!("it is sent");
    };
    assert_eq!(reply_to, 21);
}

#[test]
fn selecting_scrolls_and_loads_what_is_older() {
    let mut script = Script::connected();
    let messages = (1..=60).map(|cursor| Message {
        message_id: format!("m{cursor}"),
        cursor,
        seq: cursor,
        sender: "bob".to_owned(),
        body: format!("text {cursor}."),
        conversation_id: 1,
        ..Message::default()
    });
    script.net(Net::Page {
        name: "#tea".to_owned(),
        is_older: false,
        page: Ok(HistoryPage {
            messages: messages.collect(),
            older_page_token: "older".to_owned(),
            ..HistoryPage::default()
        }),
    });
    for seq in (1..=60).rev() {
        script.keys("<M-Up>");
        assert!(script.screen().contains(&format!("text {seq}.")), "{seq}");
    }
    let is_marked = |line: &str| line.contains('▶') && line.contains("text 1.");
    assert!(script.screen().lines().any(is_marked));
    script.keys("<M-Up>");
    let older = |one: &Effect| matches!(one, Effect::History { token: Some(_), .. });
    assert!(script.effects.iter().any(older));
    for _ in 0..60 {
        script.keys("<M-Down>");
    }
    assert_eq!(script.model.opened().unwrap().scroll, Scroll::Bottom);
    assert!(!script.screen().contains('▶'));
}

#[test]
fn what_cannot_be_undone_asks_first() {
    let mut script = talking();
    let delete = Effect::Delete {
        to: "#tea".to_owned(),
        seq: 30,
    };
    script.keys("/delete<Enter>");
    assert!(script.screen().contains("erase your message: mine"));
    script.keys("<Enter>");
    assert!(
        !script.effects.contains(&delete),
        "Enter alone does nothing"
    );
    script.keys("/delete<Enter><Down><Enter>");
    assert_eq!(last(&mut script), delete);
    script.keys("/ban bob<Enter>yes<Enter>");
    assert_eq!(
        last(&mut script),
        change_room(RoomEdit::Ban("bob".to_owned()))
    );
    script.keys("/archive<Enter>yes<Enter>");
    assert_eq!(last(&mut script), change_room(RoomEdit::Archive));
}

#[test]
fn rooms_are_administered_by_commands() {
    let mut script = talking();
    for (typed, edit) in [
        ("/kick bob", RoomEdit::Kick("bob".to_owned())),
        ("/unban bob", RoomEdit::Unban("bob".to_owned())),
        (
            "/promote bob admin",
            RoomEdit::Role("bob".to_owned(), MemberRole::Admin),
        ),
        ("/topic All of it", RoomEdit::Topic("All of it".to_owned())),
        ("/topic -", RoomEdit::Topic(String::new())),
        ("/rename #coffee", RoomEdit::Name("#coffee".to_owned())),
        ("/set private", RoomEdit::Private(true)),
        ("/set announce-only", RoomEdit::AnnounceOnly(true)),
    ] {
        script.keys(&format!("{typed}<Enter>"));
        assert_eq!(last(&mut script), change_room(edit), "{typed}");
        assert_eq!(script.model.input.text(), "");
    }
    script.keys("/bans<Enter>");
    assert_eq!(last(&mut script), Effect::Bans("#tea".to_owned()));
    script.keys("/status tea time<Enter>");
    assert!(matches!(last(&mut script), Effect::SetProfile(change)
        if change.status_text.as_deref() == Some("tea time")));
    script.keys("/export #tea tea.jsonl<Enter>");
    let export = Effect::Export {
        room: Some("#tea".to_owned()),
        file: "tea.jsonl".to_owned(),
    };
    assert_eq!(last(&mut script), export);
    script.keys("/promote bob ad<Tab>");
    assert_eq!(script.model.input.text(), "/promote bob admin");
    script.keys("<C-u>/set pu<Tab>");
    assert_eq!(script.model.input.text(), "/set public");
}

#[test]
fn commands_that_cannot_be_carried_out_stay_in_the_input() {
    let mut script = talking();
    script.room_message(40, "bob", "the last");
    for (typed, advice) in [
        ("/promote bob king", "write /promote NAME"),
        ("/rename coffee", "write /rename #NEW"),
        (
            "/set open-ish",
            "make this room public, private, announce-only",
        ),
        ("/react two words", "write /react EMOJI"),
        ("/export", "write /export"),
    ] {
        script.keys(&format!("{typed}<Enter>"));
        assert!(
            script.notice().contains(advice),
            "{typed}: {}",
            script.notice()
        );
        assert_eq!(script.model.input.text(), typed);
        script.keys("<C-u>");
    }
    script.keys("<M-Up>/edit no<Enter>");
    assert!(script.notice().contains("only your own"));
    assert_eq!(script.model.input.text(), "/edit no");
    script.keys("<C-u>/open dora<Enter>");
    for (typed, advice) in [
        ("/edit x", "you have sent nothing"),
        ("/reply", "nobody else has written"),
        ("/react x", "nobody else has written"),
        ("/kick bob", "for rooms"),
    ] {
        script.keys(&format!("{typed}<Enter>"));
        assert!(
            script.notice().contains(advice),
            "{typed}: {}",
            script.notice()
        );
        assert_eq!(script.model.input.text(), typed);
        script.keys("<C-u>");
    }
}

#[test]
fn direct_messages_are_changed_as_those_of_rooms() {
    let mut script = Script::connected();
    script.net(Net::Message(Box::new(Message {
        message_id: "d1".to_owned(),
        cursor: 20,
        seq: 1,
        sender: "dora".to_owned(),
        recipient: "ann".to_owned(),
        body: "hello".to_owned(),
        ..Message::default()
    })));
    script.keys("/open dora<Enter>/react tea<Enter>");
    let react = Effect::React {
        to: "dora".to_owned(),
        seq: 1,
        reaction: "tea".to_owned(),
        remove: false,
    };
    assert_eq!(last(&mut script), react);
    script.net(Net::Reacted {
        cursor: 21,
        name: "dora".to_owned(),
        seq: 1,
        username: "ann".to_owned(),
        reaction: "tea".to_owned(),
        removed: false,
        count: 1,
    });
    assert!(script.screen().contains("tea 1 (yours)"));
    script.keys("<M-Up>/delete<Enter>");
    assert!(script.notice().contains("admins and owners"));
    script.keys("<C-u><M-r>hi<Enter>");
    let Effect::Send { to, reply_to, .. } = last(&mut script) else {
        panic!("it is sent");
    };
    assert_eq!((&*to, reply_to), ("dora", 1));
}

#[test]
fn changes_of_a_room_are_taken_over() {
    let mut script = Script::connected();
    let listed = |name: &str| Listed {
        conversation_id: 1,
        kind: ConversationKind::Room,
        name: name.to_owned(),
        role: Some(MemberRole::Owner),
        topic: "old".to_owned(),
        ..Listed::default()
    };
    script.net(conversations(vec![listed("#tea")]));
    system(&mut script, 20, MessageKind::Topic, "", "Everything");
    assert_eq!(script.model.opened().unwrap().topic, "Everything");
    assert!(script.screen().contains("bob set the topic: Everything"));
    script.keys("a draft");
    script.net(conversations(vec![listed("#Coffee")]));
    let open = script.model.opened().unwrap();
    assert_eq!((&*open.name, open.items.len()), ("#Coffee", 1));
    assert_eq!(script.model.input.text(), "a draft");
    assert_eq!(script.model.conversations.len(), 1);
    script.net(conversations(vec![listed("#tea")]));
    system(&mut script, 21, MessageKind::Kicked, "ann", "");
    assert!(script.model.opened().is_none());
    assert!(script.notice().contains("bob removed you from #tea"));
}

#[test]
fn a_list_from_before_a_room_was_joined_does_not_close_it() {
    let mut script = Script::connected();
    let listed = |name: &str, id: u64| Listed {
        conversation_id: id,
        kind: ConversationKind::Room,
        name: name.to_owned(),
        ..Listed::default()
    };
    script.net(Net::Open("#garden".to_owned()));
    script.keys("a draft");
    script.net(conversations(vec![listed("#tea", 1)]));
    assert_eq!(&*script.model.opened().unwrap().name, "#garden");
    assert_eq!(script.model.input.text(), "a draft");
    // Once it was listed, it was left elsewhere where it is not.
    let both = || vec![listed("#tea", 1), listed("#garden", 2)];
    script.net(conversations(both()));
    script.net(conversations(vec![listed("#tea", 1)]));
    assert!(!script.model.conversations.contains_key("#garden"));
}

#[test]
fn a_change_without_an_answer_is_asked_for_again_after_a_start() {
    let root = tempfile::tempdir().unwrap();
    let mut script = talking();
    script.keys("/edit mended<Enter>");
    let asked = last(&mut script);
    script.keys("/react 🍵<Enter>");
    let mut cache = crate::cache::Cache::of(root.path(), "c", "ann");
    cache.changes(&script.model).write().unwrap();
    let mut script = Script::new();
    assert!(cache.restore(&mut script.model));
    assert!(script.screen().contains("mine …"), "{}", script.screen());
    script.net(Net::LoggedIn {
        name: "ann".to_owned(),
        is_new: false,
    });
    let connected = || Net::Connected {
        replica: 1,
        resumed: false,
        cursor: 10,
    };
    script.net(connected());
    assert!(script.effects.contains(&asked), "{:?}", script.effects);
    for seq in [30, 21] {
        script.net(Net::Change {
            name: "#tea".to_owned(),
            seq,
            result: Ok(()),
        });
    }
    assert!(!script.screen().contains("mine …"));
    cache.changes(&script.model).write().unwrap();
    let mut script = Script::new();
    cache.restore(&mut script.model);
    script.net(connected());
    assert!(!script.effects.contains(&asked));
}

#[test]
fn earlier_texts_are_listed_and_kept_by_rooms() {
    let mut script = talking();
    script.keys("/edits<Enter>");
    assert!(
        script
            .notice()
            .contains("no loaded message here was edited")
    );
    script.keys("<C-u>");
    script.net(changed(20, "first", 1, 0));
    script.keys("/edits<Enter>");
    let edits = Effect::Edits {
        name: "#tea".to_owned(),
        seq: 20,
    };
    assert_eq!(last(&mut script), edits);
    script.keys("/set keep-edits<Enter>");
    assert_eq!(last(&mut script), change_room(RoomEdit::KeepsEdits(true)));
}
