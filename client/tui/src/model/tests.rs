//! Scripts of events over the model, and the screens that they lead to. `TERCET_REWRITE=1` writes the screens anew.

mod changes;
mod cost;
mod markers;
mod views;

use std::path::Path;
use std::{env, fs};

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use tercet_client::{ConversationKind, HistoryPage, Message, MessageKind, SentMessage};

use super::*;
use crate::conversation::{Member, Scroll};
use crate::view::{self, Theme};

/// 2026-11-28 10:00 UTC.
const START_MS: i64 = 1_795_860_000_000;

thread_local! {
    static NEXT_ID: std::cell::Cell<u32> = const { std::cell::Cell::new(0) };
}

fn new_id() -> String {
    NEXT_ID.with(|next| {
        next.set(next.get() + 1);
        format!("id-{}", next.get())
    })
}

/// A model with a clock and everything that it asked for.
struct Script {
    model: Model,
    now_ms: i64,
    effects: Vec<Effect>,
}

impl Script {
    fn new() -> Script {
        let settings = Settings {
            is_utc: true,
            new_id,
            ..Settings::default()
        };
        Script {
            model: Model::new(settings, START_MS),
            now_ms: START_MS,
            effects: Vec::new(),
        }
    }

    /// A connected model with a room and a person.
    fn connected() -> Script {
        let mut script = Script::new();
        script.net(Net::LoggedIn {
            name: "ann".to_owned(),
            is_new: false,
        });
        script.net(Net::Connected {
            replica: 1,
            resumed: false,
            cursor: 10,
        });
        script.net(Net::Cluster(cluster(3)));
        script.net(Net::People {
            names: ["ann", "bob", "carol", "dora"].map(str::to_owned).to_vec(),
            rooms: vec!["#garden".to_owned()],
        });
        script.net(Net::Open("#tea".to_owned()));
        script.net(conversations(vec![listed("#tea", 1, 0)]));
        script.net(Net::Page {
            name: "#tea".to_owned(),
            is_older: false,
            page: Ok(HistoryPage::default()),
        });
        script.net(Net::Members {
            room: "#tea".to_owned(),
            members: ["ann", "bob"]
                .map(|name| Member {
                    name: name.to_owned(),
                    sign: if name == "ann" { '@' } else { ' ' },
                })
                .to_vec(),
        });
        script.effects.clear();
        script
    }

    fn event(&mut self, event: Event) {
        let effects = self.model.update(event, self.now_ms);
        self.effects.extend(effects);
        let effects = self.model.update(Event::Frame, self.now_ms);
        self.effects.extend(effects);
    }

    fn net(&mut self, net: Net) {
        self.event(Event::Net(net));
    }

    /// Presses keys: a word in angle brackets is a key by its name, all else is typed.
    fn keys(&mut self, keys: &str) {
        let mut rest = keys;
        while let Some(c) = rest.chars().next() {
            let named = rest.strip_prefix('<').and_then(|rest| rest.split_once('>'));
            let key = match named {
                Some((name, after)) => {
                    rest = after;
                    name.parse().unwrap()
                }
                None => {
                    rest = &rest[c.len_utf8()..];
                    crate::key::Key::plain(crate::key::Code::Char(c))
                }
            };
            self.event(Event::Key(key));
        }
    }

    fn resize(&mut self, columns: u16, rows: u16) {
        self.event(Event::Resize { columns, rows });
    }

    fn room_message(&mut self, cursor: u64, sender: &str, body: &str) {
        self.net(Net::Message(Box::new(Message {
            message_id: format!("m{cursor}"),
            cursor,
            sender: sender.to_owned(),
            body: body.to_owned(),
            sent_at_ms: START_MS + i64::try_from(cursor).unwrap() * 60_000,
            conversation: "#tea".to_owned(),
            conversation_id: 1,
            seq: cursor,
            ..Message::default()
        })));
    }

    fn direct_message(&mut self, cursor: u64, sender: &str, body: &str) {
        self.net(Net::Message(Box::new(Message {
            message_id: format!("m{cursor}"),
            cursor,
            sender: sender.to_owned(),
            recipient: "ann".to_owned(),
            body: body.to_owned(),
            sent_at_ms: START_MS + i64::try_from(cursor).unwrap() * 60_000,
            seq: cursor,
            ..Message::default()
        })));
    }

    /// Answers the question for the newest page: there is nothing but what is known.
    fn page_came(&mut self, name: &str) {
        self.net(Net::Page {
            name: name.to_owned(),
            is_older: false,
            page: Ok(HistoryPage::default()),
        });
    }

    fn sends(&mut self) -> Vec<(String, String, String)> {
        let effects = std::mem::take(&mut self.effects).into_iter();
        let sends = effects.filter_map(|effect| match effect {
            Effect::Send { id, to, text, .. } => Some((id, to, text)),
            _ => None,
        });
        sends.collect()
    }

    fn answer(&mut self, id: &str, to: &str, cursor: u64) {
        self.net(Net::Sent {
            id: id.to_owned(),
            to: to.to_owned(),
            result: Ok(SentMessage {
                message_id: id.to_owned(),
                cursor,
                seq: cursor,
                sent_at_ms: START_MS + i64::try_from(cursor).unwrap() * 60_000,
                ..SentMessage::default()
            }),
        });
    }

    fn notice(&self) -> &str {
        self.model.notice.as_ref().map_or("", |notice| &notice.text)
    }

    /// Draws the model, and returns the rows of the screen.
    fn screen(&self) -> String {
        let area = Rect::new(0, 0, self.model.columns, self.model.rows);
        let mut buffer = Buffer::empty(area);
        view::draw(&self.model, &Theme::new(true), &mut buffer);
        let mut text = String::new();
        for y in 0..area.height {
            let mut row = String::new();
            let mut x = 0;
            while x < area.width {
                let symbol = buffer[(x, y)].symbol();
                row.push_str(symbol);
                x += u16::try_from(crate::text::width(symbol).max(1)).unwrap();
            }
            text.push_str(row.trim_end());
            text.push('\n');
        }
        text
    }

    /// Compares the screen with the one that is kept under this name.
    #[track_caller]
    fn assert_screen(&self, name: &str) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("testdata/{name}.txt"));
        let screen = self.screen();
        if env::var_os("TERCET_REWRITE").is_some() {
            return fs::write(path, screen).unwrap();
        }
        let kept = fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(
            screen,
            kept,
            "{} differs; TERCET_REWRITE=1 writes it anew",
            path.display()
        );
    }
}

/// A conversation in the list: its last message, and how many of the last are unread.
fn listed(name: &str, last_seq: u64, unread: u64) -> tercet_client::Conversation {
    let is_room = name.starts_with('#');
    tercet_client::Conversation {
        conversation_id: if is_room { 1 } else { 100 },
        kind: if is_room {
            ConversationKind::Room
        } else {
            ConversationKind::Direct
        },
        name: name.to_owned(),
        last_seq,
        read_seq: last_seq - unread,
        unread,
        ..tercet_client::Conversation::default()
    }
}

/// The list of conversations, as of the cursor 800.
fn conversations(listed: Vec<tercet_client::Conversation>) -> Net {
    Net::Conversations {
        listed,
        cursor: 800,
    }
}

fn cluster(members: usize) -> ClusterState {
    let replica = |id: u32| ReplicaState {
        id,
        address: format!("127.0.0.1:500{id}"),
        role: if id == 1 { "leader" } else { "backup" }.to_owned(),
        is_member: id as usize <= members,
        lsn: 1_234,
        lag: if id as usize <= members { 0 } else { 1_000 },
    };
    ClusterState {
        leader: 1,
        mode: "available".to_owned(),
        replicas: (1..=3).map(replica).collect(),
    }
}

/// A script with everything that a screen can show.
fn busy() -> Script {
    let mut script = Script::connected();
    script.model.conversation("#tea").topic = "Everything about tea".to_owned();
    script.net(Net::Message(Box::new(Message {
        cursor: 11,
        sender: "bob".to_owned(),
        sent_at_ms: START_MS,
        conversation: "#tea".to_owned(),
        conversation_id: 1,
        kind: MessageKind::Joined,
        ..Message::default()
    })));
    script.room_message(
        12,
        "bob",
        "Good morning, *everybody*. Who has `water`? See https://example.org/tea",
    );
    script.room_message(
        13,
        "carol-with-a-long-name",
        "日本語のお茶 🍵 and a text that is long enough to need a second line on most screens",
    );
    script.direct_message(14, "dora", "are you there?");
    script.direct_message(15, "dora", "hello?");
    script.keys("I have, ann says<Enter>");
    let (id, to, _) = script.sends().remove(0);
    script.answer(&id, &to, 16);
    script.now_ms += 86_400_000 + 120_000;
    script.keys("on its way<Enter>");
    script.room_message(1_440, "bob", "the next day, ann: evil\u{202e}txt\u{1b}[31m");
    script.keys("half a line");
    script
}

#[test]
fn screens_of_all_sizes() {
    let mut script = busy();
    for (columns, rows) in [(80, 24), (40, 12), (120, 30), (20, 6), (10, 3)] {
        script.resize(columns, rows);
        script.assert_screen(&format!("busy-{columns}x{rows}"));
    }
}

#[test]
fn no_size_breaks_the_screen() {
    let mut script = busy();
    for columns in 1..130 {
        script.resize(columns, columns / 3 + 1);
        script.screen();
        script.keys("<PageUp>");
        script.screen();
        script.keys("<F1>");
        script.screen();
        script.keys("<Esc><C-g>");
        script.screen();
        script.keys("<Esc>");
    }
}

#[test]
fn the_form_of_the_login_hides_the_password_and_says_what_is_wrong() {
    let mut script = Script::new();
    script.net(Net::NeedsLogin {
        name: String::new(),
        is_empty: true,
        why: String::new(),
    });
    script.keys("no spaces<Enter>");
    assert!(script.screen().contains("A name has"));
    script.keys("<C-u>ann<Enter>short<Enter>");
    assert!(script.screen().contains("8 to 256 bytes"));
    script.keys("<C-u>correct horse<Enter>correct hose<Enter>");
    assert!(script.screen().contains("differ"));
    script.keys("correct horse");
    script.assert_screen("register-80x24");
    assert!(!script.screen().contains("horse"));
    script.keys("<Enter>");
    let register = Effect::Register {
        name: "ann".to_owned(),
        password: "correct horse".to_owned(),
    };
    assert_eq!(script.effects, [register]);
    script.net(Net::LoginFailed {
        why: "ann has an account already".to_owned(),
    });
    script.resize(40, 12);
    script.assert_screen("register-failed-40x12");
}

#[test]
fn the_first_run_lands_in_the_lobby_and_shows_three_keys() {
    let mut script = Script::new();
    script.net(Net::NeedsLogin {
        name: String::new(),
        is_empty: true,
        why: String::new(),
    });
    script.net(Net::LoggedIn {
        name: "ann".to_owned(),
        is_new: true,
    });
    script.net(Net::Connected {
        replica: 1,
        resumed: false,
        cursor: 1,
    });
    script.net(conversations(Vec::new()));
    let join = Effect::Join {
        name: "#lobby".to_owned(),
        may_create: true,
    };
    assert!(script.effects.contains(&join), "{:?}", script.effects);
    script.net(Net::Open("#lobby".to_owned()));
    assert_eq!(script.model.opened().unwrap().name, "#lobby");
    assert!(script.notice().contains("Ctrl-G") && script.notice().contains("F1"));
}

#[test]
fn a_message_is_marked_on_its_way_sent_and_failed() {
    let mut script = Script::connected();
    script.keys("one<Enter>two<Enter>");
    assert!(script.screen().contains("one …"));
    let sends = script.sends();
    assert_eq!(sends.len(), 2);
    script.answer(&sends[0].0, "#tea", 20);
    assert!(script.screen().contains("one ✓"));
    script.net(Net::Sent {
        id: sends[1].0.clone(),
        to: "#tea".to_owned(),
        result: Err(SendFailure {
            why: "only admins write here".to_owned(),
            is_unknown: false,
        }),
    });
    assert!(script.screen().contains("two ✗ not sent: only admins"));
    script.keys("/retry<Enter>");
    let again = script.sends();
    assert_eq!(again[0].2, "two");
    assert_ne!(
        again[0].0, sends[1].0,
        "a refused id would be refused again"
    );
}

#[test]
fn a_failover_is_a_word_in_the_status_bar_and_the_text_stays() {
    let mut script = Script::connected();
    assert!(view::status_text(&script.model).contains("connected · leader 1 · 3 of 3 replicas"));
    script.keys("half a ");
    script.net(Net::Lost {
        why: "the leader died".to_owned(),
    });
    script.now_ms += 3_100;
    script.event(Event::Tick);
    assert_eq!(view::status_text(&script.model), "reconnecting 3 s");
    script.keys("line");
    assert!(script.screen().contains("half a line"));
    script.net(Net::Connected {
        replica: 2,
        resumed: true,
        cursor: 10,
    });
    for cursor in 21..25 {
        script.room_message(cursor, "bob", "meanwhile");
    }
    script.room_message(25, "ann", "of my own");
    script.net(Net::Cluster(ClusterState {
        leader: 2,
        ..cluster(1)
    }));
    let text = view::status_text(&script.model);
    assert_eq!(
        text,
        "connected · leader 2 · redundancy lost: 1 of 3 · caught up, 4 new"
    );
    script.now_ms += 10_000;
    script.event(Event::Tick);
    assert!(!view::status_text(&script.model).contains("caught up"));
    assert_eq!(
        script.model.wakes_at_ms(),
        None,
        "an idle chat does not wake up"
    );
}

#[test]
fn no_slip_sends_a_command_as_text() {
    let mut script = Script::connected();
    for (typed, advice) in [
        ("/qiut", "did you mean /quit?"),
        ("/jn #x", "did you mean /join?"),
        ("/whois two words", "write /profile [NAME]"),
        (" /quit", "did you mean /quit?"),
        ("/xyzzy", "F1"),
        ("/invite", "write /invite NAME"),
        ("/open two words", "write /open NAME"),
        ("/msg bob", "write /msg NAME TEXT"),
    ] {
        script.keys(&format!("{typed}<Enter>"));
        assert!(
            script.notice().contains(advice),
            "{typed}: {}",
            script.notice()
        );
        assert_eq!(script.model.input.text(), typed, "it stays in the input");
        assert_eq!(script.sends(), []);
        script.keys("<C-u>");
    }
    script.keys("//quit<Enter>");
    assert_eq!(script.sends()[0].2, "/quit");
    script.keys("/msg bob hi there<Enter>");
    assert_eq!(script.sends()[0].1, "bob");
    assert_eq!(script.model.opened().unwrap().name, "#tea");
}

#[test]
fn pasted_lines_are_one_text_and_never_commands() {
    let mut script = Script::connected();
    script.event(Event::Paste(
        "/quit\r\nsecond\u{1b}[31m\rthird\n".to_owned(),
    ));
    assert!(script.notice().contains("3 lines"));
    assert_eq!(script.effects, []);
    script.keys("<Enter>");
    assert_eq!(script.sends()[0].2, "/quit\nsecond[31m\nthird");
}

#[test]
fn drafts_stay_with_their_conversation() {
    let mut script = Script::connected();
    script.keys("for tea");
    script.direct_message(20, "bob", "hi");
    script.keys("<M-2>");
    assert_eq!(script.model.input.text(), "");
    script.keys("for bob<C-p>");
    assert_eq!(script.model.input.text(), "for tea");
    script.keys("<C-n>");
    assert_eq!(script.model.input.text(), "for bob");
    // A command that opens a conversation is no draft of the one before, and keeps the other's.
    script.keys("<C-p><C-u>/open bob<Enter>");
    assert_eq!(script.model.input.text(), "for bob");
    script.keys("<C-p>");
    assert_eq!(script.model.input.text(), "");
}

#[test]
fn messages_count_as_read_only_when_they_can_be_seen() {
    let mut script = Script::connected();
    script.room_message(20, "bob", "one");
    assert_eq!(script.model.conversation("#tea").unread, 0);
    script.event(Event::Focus(false));
    script.room_message(21, "bob", "two, ann");
    assert_eq!(script.model.conversation("#tea").unread, 1);
    assert!(script.effects.contains(&Effect::Bell));
    assert_eq!(script.model.title(), "(1) #tea");
    script.event(Event::Focus(true));
    assert_eq!(script.model.conversation("#tea").unread, 0);
    script.direct_message(22, "bob", "three");
    assert_eq!(
        (
            script.model.conversation("bob").unread,
            script.model.title()
        ),
        (1, "(1) #tea".to_owned())
    );
    script.keys("<M-a>");
    script.page_came("bob");
    assert_eq!(script.model.conversation("bob").unread, 0);
    assert!(script.screen().contains("── new"));
    script.keys("/unread<Enter>");
    assert_eq!(script.model.conversation("bob").unread, 1);
}

#[test]
fn quiet_and_muted_conversations_do_not_ring() {
    let mut script = Script::connected();
    script.event(Event::Focus(false));
    script.keys("/dnd on<Enter>");
    script.direct_message(20, "bob", "one");
    script.keys("/dnd off<Enter><M-2>/mute<Enter>");
    script.event(Event::Focus(false));
    script.direct_message(21, "bob", "two");
    assert!(!script.effects.contains(&Effect::Bell));
}

#[test]
fn nothing_rings_in_the_quiet_hours() {
    let mut script = Script::connected();
    script.event(Event::Focus(false));
    for (at, (from, to, rings)) in (20..).zip([
        (9 * 60, 11 * 60, false),
        (22 * 60, 10 * 60 + 1, false),
        (22 * 60, 10 * 60, true),
        (10 * 60 + 1, 10 * 60, true),
    ]) {
        script.effects.clear();
        script.model.settings.quiet_hours = Some((from, to));
        script.direct_message(at, "bob", "psst");
        assert_eq!(script.effects.contains(&Effect::Bell), rings, "{from} {to}");
    }
}

#[test]
fn the_keys_of_vi_move_and_cut_when_they_are_chosen() {
    let mut script = Script::connected();
    script.model.settings.vi = true;
    for (keys, text) in [
        ("one two three<Esc>bx", "one two hree"),
        ("<Esc>0dw", " two hree"),
        ("iA<Esc>", "A two hree"),
        ("$bD", "A two "),
        ("Afour<Esc>ccx", "x"),
        ("<Esc>uu", "A two four"),
        ("ddq<F1><Esc>", ""),
        (":", "/"),
    ] {
        script.keys(keys);
        assert_eq!(script.model.input.text(), text, "{keys}");
    }
    script.keys("<C-u>sent<Esc>");
    assert!(script.screen().contains("NORMAL · F1 help"));
    script.keys("<Enter>");
    assert_eq!(script.sends()[0].2, "sent");
}

#[test]
fn what_was_on_its_way_is_sent_again_with_its_id_after_a_start() {
    let root = tempfile::tempdir().unwrap();
    let mut script = Script::connected();
    script.keys("one<Enter>");
    let before = script.sends();
    let mut cache = crate::cache::Cache::of(root.path(), "c", "ann");
    cache.changes(&script.model).write().unwrap();
    let mut script = Script::new();
    assert!(cache.restore(&mut script.model));
    assert!(
        script.screen().contains("one …"),
        "it is drawn before there is a connection"
    );
    script.net(Net::LoggedIn {
        name: "ann".to_owned(),
        is_new: false,
    });
    script.net(Net::Connected {
        replica: 1,
        resumed: false,
        cursor: 10,
    });
    assert_eq!(script.sends(), before);
    script.net(Net::Connected {
        replica: 2,
        resumed: false,
        cursor: 10,
    });
    assert_eq!(script.sends(), [], "the worker has it");
}

#[test]
fn scrolling_keeps_its_place_and_loads_what_is_older() {
    let mut script = Script::connected();
    let page = |cursors: std::ops::Range<u64>, token: &str| HistoryPage {
        messages: cursors
            .map(|cursor| Message {
                message_id: format!("m{cursor}"),
                cursor,
                sender: "bob".to_owned(),
                body: format!("message {cursor}"),
                sent_at_ms: START_MS + i64::try_from(cursor).unwrap() * 1_000,
                conversation_id: 1,
                ..Message::default()
            })
            .collect(),
        older_page_token: token.to_owned(),
        ..HistoryPage::default()
    };
    let newest = Net::Page {
        name: "#tea".to_owned(),
        is_older: false,
        page: Ok(page(100..160, "older")),
    };
    script.net(newest);
    script.keys("<PageUp>");
    let before = script.screen();
    assert!(before.contains("below · Esc"), "{before}");
    script.room_message(200, "bob", "news");
    assert!(!script.screen().contains("news"));
    // The messages, without the conversations on the left.
    let rows = |screen: &str| {
        let rows = screen
            .lines()
            .skip(1)
            .take(20)
            .filter_map(|row| row.split_once('│'));
        rows.map(|(_, row)| row.to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(rows(&script.screen())[0], rows(&before)[0]);
    script.keys("<PageUp><PageUp><PageUp>");
    let older = Effect::History {
        name: "#tea".to_owned(),
        token: Some("older".to_owned()),
    };
    assert!(script.effects.contains(&older), "{}", script.screen());
    let top = rows(&script.screen())[1].clone();
    script.net(Net::Page {
        name: "#tea".to_owned(),
        is_older: true,
        page: Ok(page(50..100, "")),
    });
    assert!(
        script.screen().contains(top.trim()),
        "{top}: {}",
        script.screen()
    );
    script.keys("<PageDown><PageDown><PageDown><PageDown><PageDown><PageDown>");
    assert_eq!(script.model.opened().unwrap().scroll, Scroll::Bottom);
    assert!(script.screen().contains("news"));
    script.keys("<Home>");
    assert_ne!(script.model.opened().unwrap().scroll, Scroll::Bottom);
    script.keys("<End>");
    assert_eq!(script.model.opened().unwrap().scroll, Scroll::Bottom);
    script.keys("text<Home>x");
    assert_eq!(script.model.input.text(), "xtext");
    script.keys("<End><C-u>");
    script.keys("/find message 77<Enter>");
    assert!(script.screen().contains("message 77"));
    script.keys("<Esc>");
    assert_eq!(script.model.opened().unwrap().scroll, Scroll::Bottom);
}

#[test]
fn tab_completes_commands_rooms_names_and_emoji() {
    let mut script = Script::connected();
    for (typed, completed) in [
        ("/le", "/leave "),
        ("bo", "bob: "),
        ("hi @do", "hi @dora "),
        ("to #t", "to #tea "),
        ("/join #g", "/join #garden "),
        (":tada", "🎉"),
    ] {
        script.keys(&format!("{typed}<Tab>"));
        assert_eq!(script.model.input.text(), completed, "{typed}");
        script.keys("<C-u>");
    }
    script.keys("/un<Tab>");
    let first = script.model.input.text().to_owned();
    script.keys("<Tab>");
    assert_ne!(script.model.input.text(), first);
    script.keys("<BackTab>");
    assert_eq!(script.model.input.text(), first);
}

#[test]
fn ctrl_g_goes_to_conversations_people_and_commands() {
    let mut script = Script::connected();
    script.keys("<C-g>dra<Enter>");
    assert_eq!(script.model.opened().unwrap().name, "dora");
    script.keys("<C-g>tea<Enter>");
    assert_eq!(script.model.opened().unwrap().name, "#tea");
    script.keys("<C-g>#gard<Enter>");
    let join = Effect::Join {
        name: "#garden".to_owned(),
        may_create: false,
    };
    assert!(script.effects.contains(&join));
    script.keys("<C-g>/clus<Enter>");
    assert_eq!(script.model.input.text(), "/cluster ");
    script.keys("<Enter>");
    script.assert_screen("cluster-80x24");
    script.keys("<Esc><F1>swap two");
    script.assert_screen("help-80x24");
}

#[test]
fn up_recalls_what_was_sent_and_down_what_was_written() {
    let mut script = Script::connected();
    script.keys("one<Enter>two<Enter>thr<Up><Up>");
    assert_eq!(script.model.input.text(), "one");
    script.keys("<Up>");
    assert_eq!(script.model.input.text(), "one");
    script.keys("<Down><Down>");
    assert_eq!(script.model.input.text(), "thr");
    script.keys("<C-u><C-r>on<Enter>");
    assert_eq!(script.model.input.text(), "one");
}

#[test]
fn text_that_was_not_sent_is_not_lost_by_one_key() {
    let mut script = Script::connected();
    script.keys("text<C-c>");
    assert!(!script.effects.contains(&Effect::Quit));
    script.effects.clear();
    script.keys("<C-c>");
    assert_eq!(script.effects, [Effect::Quit]);
}

#[test]
fn a_found_message_is_shown_though_it_must_be_loaded() {
    let mut script = Script::connected();
    let found = Choice::Message {
        name: "bob".to_owned(),
        cursor: 3,
    };
    let rows = vec![("2026-11-28 bob: text 3".to_owned(), found)];
    script.net(Net::Listing {
        title: "Found: text".to_owned(),
        rows,
    });
    script.keys("<Enter>");
    let page = |cursors: std::ops::Range<u64>, token: &str, is_older| Net::Page {
        name: "bob".to_owned(),
        is_older,
        page: Ok(HistoryPage {
            messages: cursors
                .map(|cursor| Message {
                    message_id: format!("m{cursor}"),
                    cursor,
                    sender: "bob".to_owned(),
                    recipient: "ann".to_owned(),
                    body: format!("text {cursor}"),
                    ..Message::default()
                })
                .collect(),
            older_page_token: token.to_owned(),
            ..HistoryPage::default()
        }),
    };
    script.net(page(60..90, "a", false));
    script.net(page(30..60, "b", true));
    let loads = script
        .effects
        .iter()
        .filter(|effect| matches!(effect, Effect::History { .. }))
        .count();
    assert_eq!(loads, 3, "{:?}", script.effects);
    script.net(page(1..30, "", true));
    assert!(script.screen().contains("text 3"));
    assert_eq!(script.model.opened().unwrap().wanted, None);
    script.keys("/search from:bob tea<Enter>");
    assert_eq!(
        script.effects.pop(),
        Some(Effect::Search("from:bob tea".to_owned()))
    );
}
