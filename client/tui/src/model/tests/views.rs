//! Threads, the list of what is unread, and the list of links.

use super::*;

fn reply(script: &mut Script, seq: u64, sender: &str, body: &str, reply_to: u64) {
    script.net(Net::Message(Box::new(Message {
        reply_to,
        ..room_text(seq, sender, body)
    })));
}

fn room_text(seq: u64, sender: &str, body: &str) -> Message {
    Message {
        message_id: format!("m{seq}"),
        cursor: seq,
        seq,
        sender: sender.to_owned(),
        body: body.to_owned(),
        sent_at_ms: START_MS,
        conversation: "#tea".to_owned(),
        conversation_id: 1,
        ..Message::default()
    }
}

/// A room with a thread of two messages between others, and the draft of a text.
fn threaded() -> Script {
    let mut script = Script::connected();
    script.room_message(20, "bob", "who brings milk?");
    script.room_message(21, "carol", "nice weather");
    reply(&mut script, 22, "carol", "not me", 20);
    script.room_message(23, "bob", "and tomorrow?");
    script.keys("a draft");
    script.effects.clear();
    script
}

#[test]
fn a_thread_shows_its_messages_alone_and_texts_reply_to_it() {
    let mut script = threaded();
    script.keys("<M-t>");
    let ask = Effect::Thread {
        name: "#tea".to_owned(),
        seq: 20,
    };
    assert_eq!(script.effects, [ask]);
    script.net(Net::Thread {
        name: "#tea".to_owned(),
        seq: 20,
        messages: Ok(vec![Message {
            reply_to: 20,
            ..room_text(15, "dora", "a reply that was not loaded")
        }]),
    });
    let screen = script.screen();
    assert!(screen.contains("who brings milk?") && screen.contains("not me"));
    assert!(screen.contains("a reply that was not loaded"), "{screen}");
    assert!(!screen.contains("nice weather") && !screen.contains("↳"));
    assert!(screen.contains("#tea thread>"));
    script.keys("I do<Enter>");
    let sent = script.effects.iter().find_map(|effect| match effect {
        Effect::Send {
            id, to, reply_to, ..
        } => Some((id.clone(), to.clone(), *reply_to)),
        _ => None,
    });
    let (id, to, reply_to) = sent.unwrap();
    assert_eq!((&*to, reply_to), ("#tea", 20));
    script.answer(&id, "#tea", 30);
    assert!(script.screen().contains("I do ✓"), "{}", script.screen());
    // The thread shows a new reply, but no other message of the room.
    reply(&mut script, 31, "bob", "thanks", 20);
    script.room_message(32, "bob", "elsewhere");
    let screen = script.screen();
    assert!(screen.contains("thanks") && !screen.contains("elsewhere"));
    assert_eq!(
        script.model.conversation("#tea").unread,
        2,
        "nobody saw the room"
    );
    script.keys("half<Esc>");
    let screen = script.screen();
    assert!(screen.contains("↳ bob: who brings milk?") && screen.contains("I do ✓"));
    assert!(screen.contains("#tea> a draft"), "{screen}");
    assert_eq!(script.model.conversation("#tea").unread, 0);
    script.keys("<M-t>");
    assert_eq!(script.model.input.text(), "half", "each has its draft");
}

#[test]
fn a_thread_of_a_room_does_not_take_the_marker_of_a_direct_conversation() {
    let mut script = threaded();
    script.keys("<M-t>");
    script.model.conversation("bob");
    script.net(Net::Read {
        cursor: 40,
        name: "ann".to_owned(),
        username: "bob".to_owned(),
        seq: 500,
    });
    let thread = script.model.thread.as_ref().expect("a thread");
    assert_eq!(thread.shown.marker.peer_read, 0);
    assert_eq!(script.model.conversations["bob"].marker.peer_read, 500);
}

#[test]
fn a_thread_follows_changes_and_ends_with_its_conversation() {
    let mut script = threaded();
    script.keys("<M-Up><M-Up><M-Up><M-Up><M-t>");
    assert!(
        script.screen().contains("#tea thread>"),
        "{}",
        script.screen()
    );
    script.net(Net::Changed {
        cursor: 900,
        message: Box::new(Message {
            edited_at_ms: 1,
            ..room_text(20, "bob", "who brings tea?")
        }),
    });
    assert!(script.screen().contains("who brings tea? (edited)"));
    script.net(Net::Reacted {
        cursor: 901,
        name: "#tea".to_owned(),
        seq: 20,
        username: "carol".to_owned(),
        reaction: "🍵".to_owned(),
        removed: false,
        count: 1,
    });
    assert!(script.screen().contains("🍵 1"));
    script.keys("<Esc>");
    assert!(script.screen().contains("who brings tea? (edited)"));
    script.keys("<M-t>");
    script.keys("/open dora<Enter>");
    assert!(script.model.thread.is_none());
    assert!(script.screen().contains("dora>"));
}

#[test]
fn a_draft_in_a_thread_is_in_the_cache_and_not_the_one_of_the_room() {
    let root = tempfile::tempdir().unwrap();
    let mut script = threaded();
    script.keys("<M-t>for the thread");
    let mut cache = crate::cache::Cache::of(root.path(), "c", "ann");
    cache.changes(&script.model).write().unwrap();
    let mut script = Script::new();
    assert!(cache.restore(&mut script.model));
    assert_eq!(script.model.input.text(), "a draft");
    script.keys("<M-t>");
    assert_eq!(script.model.input.text(), "for the thread");
}

#[test]
fn everything_that_is_unread_is_on_one_list() {
    let mut script = Script::connected();
    script.keys("<M-i>");
    assert_eq!(script.notice(), "nothing is unread");
    script.event(Event::Focus(false));
    script.room_message(20, "bob", "good morning");
    script.direct_message(21, "dora", "psst");
    let preview = tercet_client::MessagePreview {
        seq: 9,
        cursor: 9,
        sender: "carol".to_owned(),
        sender_id: 3,
        kind: MessageKind::Text,
        text: "one that is not loaded".to_owned(),
        sent_at_ms: START_MS,
        deleted: false,
    };
    let carol = tercet_client::Conversation {
        last_message: Some(preview),
        ..listed("carol", 9, 3)
    };
    let tea = listed("#tea", 20, 1);
    script.net(conversations(vec![tea, carol]));
    script.event(Event::Focus(true));
    script.event(Event::Focus(false));
    script.room_message(22, "bob", "Ann, hello");
    script.keys("<M-i>");
    script.assert_screen("unread-80x24");
    script.keys("psst<Enter>");
    assert_eq!(script.model.opened().unwrap().name, "dora");
}

#[test]
fn links_are_listed_once_the_newest_first() {
    let mut script = Script::connected();
    script.room_message(
        20,
        "bob",
        "see https://example.org/a and https://example.org/b.",
    );
    script.room_message(21, "bob", "again https://example.org/a");
    script.keys("<M-o>");
    let screen = script.screen();
    let rows: Vec<&str> = screen
        .lines()
        .filter(|row| row.contains("https://"))
        .collect();
    assert!(rows.len() == 2 && rows[0].contains("org/a"), "{screen}");
    script.effects.clear();
    script.keys("<Enter>");
    let link = "https://example.org/a".to_owned();
    assert!(script.effects.contains(&Effect::OpenLink(link)));
}

#[test]
fn messages_are_pinned_and_the_line_of_it_shows_which() {
    let mut script = threaded();
    script.keys("<C-u>/pin<Enter>");
    let pin = Effect::Pin {
        to: "#tea".to_owned(),
        seq: 23,
        remove: false,
    };
    assert!(script.effects.contains(&pin), "{:?}", script.effects);
    script.net(Net::Message(Box::new(Message {
        kind: MessageKind::Pinned,
        body: "20".to_owned(),
        ..room_text(40, "ann", "")
    })));
    let screen = script.screen();
    assert!(screen.contains("↳ bob: who brings milk?"), "{screen}");
    assert!(screen.contains("ann pinned this message"));
    script.keys("/pins<Enter>");
    assert!(script.effects.contains(&Effect::Pins("#tea".to_owned())));
}

#[test]
fn what_matters_fits_on_a_small_screen() {
    let mut script = Script::connected();
    script.resize(40, 12);
    script.keys("/qiut<Enter>");
    let screen = script.screen();
    assert!(
        screen.contains("did you mean") && screen.contains("/quit?"),
        "{screen}"
    );
    script.net(Net::Cluster(cluster(1)));
    assert!(
        script
            .screen()
            .contains("leader 1 · redundancy lost: 1 of 3")
    );
    // The reason is shown once it takes longer than a failover.
    script.keys("<Esc>");
    script.net(Net::Lost {
        why: "no replica answers".to_owned(),
    });
    assert!(!script.screen().contains("no replica answers"));
    script.now_ms += 3_000;
    script.event(Event::Tick);
    assert!(script.screen().contains("* no replica answers"));
    // The help shows the whole of the selected row.
    script.resize(60, 24);
    script.keys("<F1>find messages everywhere");
    let screen = script.screen();
    assert!(screen.contains("has:link"), "{screen}");
}

#[test]
fn a_day_or_a_time_is_gone_to() {
    let mut script = Script::connected();
    for seq in 20..90 {
        // A message a minute from 10:20 on.
        script.room_message(seq, "bob", &format!("message {seq}"));
    }
    script.keys("/goto 10:30<Enter>");
    assert!(
        script.screen().contains("10:30          bob  message 30"),
        "{}",
        script.screen()
    );
    assert!(!script.screen().contains("message 60"));
    script.keys("/goto 2026-11-27<Enter>");
    assert!(script.screen().contains("message 20"));
    script.keys("/goto 2026-11-28 11:00<Enter>");
    assert!(script.screen().contains("message 60"));
    script.keys("/goto 2030-01-01<Enter>");
    assert!(script.notice().contains("nothing was written since then"));
    script.keys("/goto yesterday<Enter>");
    assert_eq!(script.model.input.text(), "/goto yesterday");
}

#[test]
fn a_mention_of_all_counts_and_rings_and_mentions_are_listed() {
    let mut script = Script::connected();
    script.keys("/open bob<Enter>");
    script.effects.clear();
    script.net(Net::Message(Box::new(Message {
        mentions_me: true,
        ..room_text(20, "bob", "tea is ready, @room")
    })));
    assert!(script.effects.contains(&Effect::Bell));
    assert!(script.screen().contains("1!"), "{}", script.screen());
    script.keys("<M-h>");
    assert!(script.effects.contains(&Effect::Mentions));
    // The list counts those that are not loaded.
    let tea = tercet_client::Conversation {
        mentions: 2,
        ..listed("#tea", 40, 10)
    };
    script.net(conversations(vec![tea]));
    let tea = script.model.conversation("#tea");
    assert_eq!((tea.unread, tea.mentions), (10, 2));
    script.keys("<C-p>@ro<Tab>");
    assert_eq!(script.model.input.text(), "@room: ");
}

#[test]
fn levels_and_keywords_decide_what_disturbs() {
    let mut script = Script::connected();
    script.net(Net::Keywords(vec!["oolong".to_owned()]));
    script.event(Event::Focus(false));
    script.effects.clear();
    script.room_message(20, "bob", "green tea");
    assert!(!script.effects.contains(&Effect::Bell));
    script.room_message(21, "bob", "or Oolong?");
    assert!(script.effects.contains(&Effect::Bell));
    assert_eq!(script.model.title(), "(2) #tea");
    script.keys("/notify mentions<Enter>");
    let level = Effect::Level {
        name: "#tea".to_owned(),
        level: tercet_client::NotificationLevel::Mentions,
    };
    assert!(script.effects.contains(&level), "{:?}", script.effects);
    assert_eq!(script.model.title(), "(1) #tea");
    // Another device mutes the room.
    script.net(Net::Level {
        name: "#tea".to_owned(),
        level: tercet_client::NotificationLevel::None,
    });
    assert_eq!(script.model.title(), "#tea");
    script.effects.clear();
    script.room_message(22, "bob", "oolong!");
    assert!(!script.effects.contains(&Effect::Bell));
    assert!(script.screen().contains("muted"));
}

#[test]
fn others_are_shown_as_connected_and_as_writing() {
    use tercet_client::PresenceState;
    let mut script = Script::connected();
    script.resize(100, 24);
    script.keys("/open dora<Enter>");
    script.effects.clear();
    script.net(conversations(vec![
        listed("#tea", 1, 0),
        listed("dora", 2, 0),
    ]));
    let asked = Effect::Presence(vec!["dora".to_owned()]);
    assert!(script.effects.contains(&asked), "{:?}", script.effects);
    let state = |name: &str, state| Net::Presence {
        name: name.to_owned(),
        state,
    };
    script.net(state("dora", PresenceState::Online));
    script.net(state("bob", PresenceState::Away));
    assert!(script.screen().contains("dora ●"), "{}", script.screen());
    script.net(Net::Writing {
        conversation: "dora".to_owned(),
        name: "dora".to_owned(),
        shown_ms: 6_000,
    });
    assert!(script.screen().contains("dora is writing …"));
    let ends = script.model.wakes_at_ms().unwrap();
    script.now_ms = ends;
    script.event(Event::Tick);
    assert!(!script.screen().contains("dora is writing …"));
    script.keys("<C-p>");
    assert!(script.screen().contains("bob ○"));
    script.net(state("bob", PresenceState::Offline));
    assert!(!script.screen().contains("bob ○"));
    // The person tells at most once in three seconds, and not of commands.
    let told = |script: &mut Script| {
        let effects = std::mem::take(&mut script.effects).into_iter();
        effects
            .filter(|one| matches!(one, Effect::Typing(_)))
            .count()
    };
    script.keys("<C-u>/who");
    assert_eq!(told(&mut script), 0);
    script.keys("<C-u>hello");
    assert_eq!(told(&mut script), 1);
    script.now_ms += 3_000;
    script.keys("!");
    assert_eq!(told(&mut script), 1);
}
