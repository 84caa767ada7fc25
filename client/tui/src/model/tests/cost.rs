//! The bytes that a frame takes, on a screen as full as it can be; and the targets of links.

use super::*;
use crate::screen::Screen;

/// The goals, in bytes: for a typed character, and for a new message.
const KEY_BYTES_MAX: usize = 4 * 1_024;
const MESSAGE_BYTES_MAX: usize = 16 * 1_024;

/// A terminal that keeps what is written to it.
#[derive(Clone, Default)]
struct Kept(std::rc::Rc<std::cell::RefCell<Vec<u8>>>);

impl std::io::Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.borrow_mut().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

struct Drawn {
    screen: Screen<Kept>,
    kept: Kept,
}

impl Drawn {
    fn new() -> Drawn {
        let kept = Kept::default();
        Drawn {
            screen: Screen::new(kept.clone()),
            kept,
        }
    }

    /// Draws the model, and returns the bytes of the frame.
    fn draw(&mut self, script: &Script) -> Vec<u8> {
        self.kept.0.borrow_mut().clear();
        let (model, theme) = (&script.model, Theme::new(true));
        let size = (model.columns, model.rows);
        let drawn = self
            .screen
            .draw(size, |frame| view::draw_frame(model, &theme, frame));
        drawn.unwrap();
        self.kept.0.borrow().clone()
    }
}

/// Messages of two lines, each word in a face of its own, and as many conversations as fit.
fn dense() -> Script {
    let mut script = Script::connected();
    script.resize(120, 40);
    let rooms = (0..60).map(|number| tercet_client::Conversation {
        conversation_id: 100 + number,
        ..listed(&format!("#a-room-with-a-name-{number}"), 200, number)
    });
    script.net(conversations(rooms.chain([listed("#tea", 1, 0)]).collect()));
    let members = (0..60).map(|number| Member {
        name: format!("member-with-a-name-{number}"),
        sign: ' ',
    });
    script.net(Net::Members {
        room: "#tea".to_owned(),
        members: members.collect(),
    });
    for seq in 20..80 {
        let words = (0..14).map(|word| match (seq + word) % 4 {
            0 => "*größer*".to_owned(),
            1 => format!("`{seq}{word}`"),
            2 => "日本語".to_owned(),
            _ => "_ünder_".to_owned(),
        });
        let body = words.collect::<Vec<_>>().join(" ");
        script.room_message(seq, ["bob", "carol", "dora"][seq as usize % 3], &body);
    }
    script
}

#[test]
fn no_typed_character_and_no_message_writes_more_than_the_goals() {
    let mut script = dense();
    let mut drawn = Drawn::new();
    drawn.draw(&script);
    let mut largest = 0;
    for at in 0..500 {
        script.keys(if at % 7 == 6 { " " } else { "x" });
        largest = largest.max(drawn.draw(&script).len());
    }
    assert!(script.model.places().input > 4);
    for _ in 0..500 {
        script.keys("<Backspace>");
        largest = largest.max(drawn.draw(&script).len());
    }
    println!("a typed character: {largest}");
    assert!(largest <= KEY_BYTES_MAX, "{largest}");
    let mut largest = 0;
    for seq in 80..100 {
        script.room_message(seq, "bob", &"a new *message* of some `words` ".repeat(8));
        largest = largest.max(drawn.draw(&script).len());
    }
    println!("a new message: {largest}");
    assert!(largest <= MESSAGE_BYTES_MAX, "{largest}");
}

#[test]
fn links_have_targets_that_change_with_them() {
    let mut script = Script::connected();
    script.resize(60, 24);
    let mut drawn = Drawn::new();
    drawn.draw(&script);
    let long = format!("https://example.org/{}", "a-long-path/".repeat(6));
    script.room_message(20, "bob", &format!("see {long}, and\u{1b}]8;;http://evil"));
    let bytes = String::from_utf8(drawn.draw(&script)).unwrap();
    let target = format!("\x1b]8;;{long}\x1b\\");
    let lines = bytes.matches(&target).count();
    assert!(lines >= 1, "{bytes:?}");
    assert!(bytes.contains("\x1b]8;;\x1b\\"), "it ends");
    assert!(bytes.contains("\\u{1b}]8;;"), "theirs is text");
    // Another link with the same beginning, at the same place.
    script.net(Net::Changed {
        cursor: 900,
        message: Box::new(Message {
            message_id: "m20".to_owned(),
            cursor: 20,
            seq: 20,
            sender: "bob".to_owned(),
            body: format!("see {long}other, and"),
            conversation: "#tea".to_owned(),
            conversation_id: 1,
            ..Message::default()
        }),
    });
    let bytes = String::from_utf8(drawn.draw(&script)).unwrap();
    assert!(
        bytes.contains(&format!("\x1b]8;;{long}other\x1b\\\x1b[4;34mhttps://")),
        "{bytes:?}"
    );
}
