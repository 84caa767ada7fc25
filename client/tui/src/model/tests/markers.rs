//! The tests of the marker: the messages that count as read, and the reports to and from the cluster.

use super::*;

/// Messages of bob in `#tea`, or of a person to ann.
fn page(name: &str, seqs: std::ops::RangeInclusive<u64>, token: &str, is_older: bool) -> Net {
    let is_room = name.starts_with('#');
    let messages = seqs.map(|seq| Message {
        message_id: format!("m{seq}"),
        cursor: seq,
        seq,
        sender: if is_room { "bob" } else { name }.to_owned(),
        recipient: "ann".to_owned(),
        body: format!("message {seq}"),
        sent_at_ms: START_MS,
        conversation: if is_room { name } else { "" }.to_owned(),
        conversation_id: u64::from(is_room),
        ..Message::default()
    });
    let page = HistoryPage {
        messages: messages.collect(),
        older_page_token: token.to_owned(),
        ..HistoryPage::default()
    };
    Net::Page {
        name: name.to_owned(),
        is_older,
        page: Ok(page),
    }
}

/// A script with unread messages in a conversation that is not open.
fn unread(name: &str, last_seq: u64, count: u64) -> Script {
    let mut script = Script::connected();
    let tea = listed("#tea", 1, 0);
    script.net(conversations(vec![tea, listed(name, last_seq, count)]));
    script.effects.clear();
    script
}

fn marks(script: &mut Script) -> Vec<(String, u64)> {
    let effects = std::mem::take(&mut script.effects).into_iter();
    let marks = effects.filter_map(|effect| match effect {
        Effect::MarkRead { name, seq } => Some((name, seq)),
        _ => None,
    });
    marks.collect()
}

fn marked(name: &str, seq: u64, cursor: u64) -> Net {
    Net::Marked {
        name: name.to_owned(),
        result: Ok((seq, cursor)),
    }
}

fn read(cursor: u64, name: &str, username: &str, seq: u64) -> Net {
    Net::Read {
        cursor,
        name: name.to_owned(),
        username: username.to_owned(),
        seq,
    }
}

#[test]
fn the_list_has_direct_conversations_and_what_is_unread() {
    let mut script = unread("dora", 7, 2);
    assert!(script.screen().contains("dora"), "{}", script.screen());
    assert!(script.screen().contains("2!"));
    assert_eq!(script.model.title(), "(2) #tea");
    // A message that is in the list already is not counted again, and rings no bell.
    script.direct_message(7, "dora", "one of the two");
    assert_eq!(script.model.conversation("dora").unread, 2);
    script.direct_message(8, "dora", "a third");
    assert_eq!(script.model.conversation("dora").unread, 3);
    // A list that was made before it does not forget it.
    script.net(conversations(vec![
        listed("#tea", 1, 0),
        listed("dora", 7, 2),
    ]));
    assert_eq!(script.model.conversation("dora").unread, 3);
    assert_eq!(
        script.model.conversation("dora").items.len(),
        2,
        "its messages stay"
    );
}

#[test]
fn a_conversation_opens_at_the_first_unread_message_and_only_what_was_shown_is_read() {
    let mut script = unread("dora", 150, 100);
    script.keys("<M-a>");
    script.net(page("dora", 101..=150, "older", false));
    // The first unread message is not loaded yet: nothing counts as read.
    assert_eq!(script.model.conversation("dora").unread, 100);
    script.net(page("dora", 21..=100, "older", true));
    let screen = script.screen();
    assert!(screen.contains("message 50"), "{screen}");
    assert!(screen.contains("── new"), "{screen}");
    assert!(screen.contains("message 51") && !screen.contains("message 90"));
    let left = script.model.conversation("dora").unread;
    assert!((75..95).contains(&left), "{left}");
    assert_eq!(
        marks(&mut script),
        [("dora".to_owned(), 150 - u64::from(left))]
    );
    script.keys("<PageDown>");
    assert!(script.model.conversation("dora").unread < left);
    // A jump shows the last screen: what is between was not seen, until the person says so.
    script.keys("<Esc>");
    assert!(script.screen().contains("message 150"));
    let between = script.model.conversation("dora").unread;
    assert!(between > 40, "{between}");
    assert!(script.screen().contains(&format!("{between} unread above")));
    script.keys("<Esc>");
    assert_eq!(script.model.conversation("dora").unread, 0);
}

#[test]
fn markers_are_told_at_most_once_a_second_and_at_the_end() {
    let mut script = unread("dora", 7, 2);
    script.keys("<M-a>");
    script.net(page("dora", 1..=7, "", false));
    assert_eq!(marks(&mut script), [("dora".to_owned(), 7)]);
    script.direct_message(8, "dora", "eight");
    assert_eq!(marks(&mut script), [], "the first call has no answer yet");
    script.net(marked("dora", 7, 900));
    script.direct_message(9, "dora", "nine");
    assert_eq!(marks(&mut script), []);
    assert_eq!(script.model.wakes_at_ms(), Some(START_MS + 1_000));
    script.now_ms += 1_000;
    script.event(Event::Tick);
    assert_eq!(marks(&mut script), [("dora".to_owned(), 9)]);
    script.net(marked("dora", 9, 901));
    assert_eq!(
        script.model.wakes_at_ms(),
        None,
        "an idle chat does not wake up"
    );
    script.direct_message(10, "dora", "ten");
    assert_eq!(
        script.model.untold_markers(),
        [Effect::MarkRead {
            name: "dora".to_owned(),
            seq: 10
        }]
    );
}

#[test]
fn nothing_is_read_behind_a_box_above_the_screen_or_without_focus() {
    let mut script = Script::connected();
    script.net(page("#tea", 2..=60, "", false));
    let unread = |script: &mut Script| script.model.conversation("#tea").unread;
    script.model.conversation("#tea").read_all("ann");
    script.keys("<C-g>");
    script.room_message(61, "bob", "behind the box");
    assert_eq!(unread(&mut script), 1);
    script.keys("<Esc>");
    assert_eq!(unread(&mut script), 0);
    script.keys("<PageUp>");
    script.room_message(62, "bob", "below the screen");
    assert_eq!(unread(&mut script), 1);
    script.keys("<PageDown><PageDown>");
    assert_eq!(unread(&mut script), 0);
    script.event(Event::Focus(false));
    for seq in 63..=100 {
        script.room_message(seq, "bob", "away");
    }
    assert_eq!(unread(&mut script), 38);
    assert!(
        !script.screen().contains("── new"),
        "it is above the screen"
    );
    script.event(Event::Focus(true));
    assert_eq!(unread(&mut script), 38, "what is above was not seen");
    script.keys("<PageUp><PageUp>");
    assert!(script.screen().contains("── new"), "{}", script.screen());
    script.keys("<PageDown><PageDown>");
    assert_eq!(unread(&mut script), 0);
}

#[test]
fn markers_of_other_devices_move_here() {
    let mut script = unread("dora", 7, 2);
    script.net(read(900, "dora", "ann", 7));
    assert_eq!(script.model.conversation("dora").unread, 0);
    assert_eq!(script.model.title(), "#tea");
    // A part was read: the list tells how many are left, because the messages are not loaded.
    script.direct_message(8, "dora", "eight");
    script.direct_message(9, "dora", "nine");
    script.net(read(901, "dora", "ann", 8));
    assert!(script.effects.contains(&Effect::Conversations));
    // Marked as unread elsewhere: it stays so on the screen.
    script.net(read(902, "dora", "ann", 9));
    script.keys("<M-2>");
    script.net(page("dora", 1..=9, "", false));
    script.effects.clear();
    script.net(read(903, "dora", "ann", 5));
    assert_eq!(script.model.conversation("dora").unread, 4);
    assert!(script.screen().contains("── new"));
    assert_eq!(marks(&mut script), []);
    // An event that came late changes nothing.
    script.net(read(902, "dora", "ann", 9));
    assert_eq!(script.model.conversation("dora").unread, 4);
}

#[test]
fn a_message_is_marked_as_unread_by_selection_and_by_number() {
    let mut script = unread("dora", 7, 0);
    script.keys("<M-2>");
    script.net(page("dora", 1..=7, "", false));
    script.keys("<M-Up><M-Up><M-Up><M-u>");
    let ask = |seq| Effect::MarkUnread {
        name: "dora".to_owned(),
        seq,
    };
    assert!(script.effects.contains(&ask(5)), "{:?}", script.effects);
    assert_eq!(script.model.conversation("dora").unread, 3);
    script.net(marked("dora", 4, 900));
    assert_eq!(script.model.conversation("dora").unread, 3);
    script.effects.clear();
    script.keys("<C-p><C-n>");
    assert_eq!(script.model.conversation("dora").unread, 0);
    script.keys("/unread 2<Enter>");
    assert!(script.effects.contains(&ask(2)));
    assert_eq!(script.model.conversation("dora").unread, 6);
    script.keys("/unread two<Enter>");
    assert_eq!(script.model.input.text(), "/unread two");
}

#[test]
fn own_direct_messages_show_that_they_were_read() {
    let mut script = Script::connected();
    script.keys("/open dora<Enter>psst<Enter>");
    let (id, to, _) = script.sends().remove(0);
    script.answer(&id, &to, 20);
    assert!(script.screen().contains("psst ✓\n"));
    // The event names the conversation as dora sees it.
    script.net(read(900, "ann", "dora", 20));
    assert!(
        script.screen().contains("psst ✓✓ read"),
        "{}",
        script.screen()
    );
}

#[test]
fn markers_are_in_the_cache_for_the_first_frame() {
    let root = tempfile::tempdir().unwrap();
    let mut script = unread("dora", 7, 2);
    script.keys("/close<Enter>");
    script.direct_message(8, "dora", "eight");
    let mut cache = crate::cache::Cache::of(root.path(), "c", "ann");
    cache.changes(&script.model).write().unwrap();
    let mut script = Script::new();
    assert!(cache.restore(&mut script.model));
    let dora = script.model.conversation("dora");
    assert_eq!((dora.unread, dora.last_seq, dora.marker.read), (3, 8, 5));
}

#[test]
fn a_direct_conversation_that_was_closed_stays_away_until_a_message_comes() {
    let mut script = unread("dora", 7, 0);
    script.keys("<M-2>/close<Enter>");
    let list = || conversations(vec![listed("#tea", 1, 0), listed("dora", 7, 0)]);
    script.net(list());
    assert!(!script.screen().contains("dora"));
    script.direct_message(8, "dora", "eight");
    script.net(list());
    assert!(script.screen().contains("dora"));
}

#[test]
fn two_conversations_with_one_name_are_one_on_the_screen() {
    let mut script = Script::connected();
    let archived = tercet_client::Conversation {
        conversation_id: 9,
        archived: true,
        ..listed("#tea", 50, 40)
    };
    script.net(conversations(vec![archived, listed("#tea", 3, 0)]));
    assert_eq!(script.model.conversation("#tea").id, 1);
    assert_eq!(script.model.conversation("#tea").unread, 0);
}

#[test]
fn the_chat_asks_a_few_times_whether_a_direct_message_was_received() {
    let mut script = Script::connected();
    script.keys("/open dora<Enter>");
    script.page_came("dora");
    script.keys("psst<Enter>");
    let (id, to, _) = script.sends().remove(0);
    script.answer(&id, &to, 20);
    script.effects.clear();
    let mut asked = 0;
    while let Some(at) = script.model.wakes_at_ms().filter(|_| asked < 20) {
        script.now_ms = at;
        script.event(Event::Tick);
        asked += script
            .effects
            .iter()
            .filter(|one| **one == Effect::Newest("dora".to_owned()))
            .count();
        script.effects.clear();
    }
    assert_eq!(asked, 5);
    // Opened again, and answered.
    script.keys("<C-p><C-n>");
    let received = Message {
        message_id: id,
        cursor: 20,
        seq: 20,
        sender: "ann".to_owned(),
        recipient: "dora".to_owned(),
        body: "psst".to_owned(),
        delivered: true,
        ..Message::default()
    };
    script.net(Net::Newest {
        name: "dora".to_owned(),
        messages: vec![received],
    });
    assert!(script.screen().contains("psst ✓✓"), "{}", script.screen());
    script.now_ms += 1_000;
    script.event(Event::Tick);
    assert_eq!(script.model.wakes_at_ms(), None);
}
