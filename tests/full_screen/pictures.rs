//! The pictures of the documents: real chats on pseudo-terminals, with real replicas that are killed.

use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::*;
use crate::pty::svg::Recording;

/// The size of each terminal of the recording.
const SIZE: (u16, u16) = (64, 18);

fn write(name: &str, picture: String) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    fs::write(path, picture).expect("write the picture");
}

#[test]
#[ignore = "demo/picture.sh draws the picture of the README with it"]
fn the_picture_of_the_readme() {
    let mut cluster = Cluster::start(3);
    let mut ann = chat(&cluster, "ann", &[]);
    register(&mut ann, "ann", true);
    ann.resize(104, 28);
    ann.keys("/create #tea Everything about tea\r");
    ann.wait_on_screen("#tea>");
    let say = |name: &str, words: &[&str]| {
        let output = cluster.on_device(&sessions_file(&cluster, name), words);
        assert!(output.status.success(), "{}", cluster::said(&output));
    };
    for name in ["bob", "carol"] {
        say(
            name,
            &["register", name, "--password", "correct horse", "--login"],
        );
        say(name, &["room", "join", "#tea"]);
    }
    say(
        "bob",
        &["send", "#tea", "Good morning! The new *oolong* is here 🍵"],
    );
    say(
        "carol",
        &[
            "send",
            "#tea",
            "おはよう! Where did you get it? https://example.org/tea",
        ],
    );
    ann.keys("/react 🍵\r");
    ann.wait_on_screen("🍵 1");
    say("carol", &["react", "#tea", "4", "🍵"]);
    ann.wait_on_screen("🍵 2 (yours)");
    ann.keys("I want some, too\r");
    ann.wait_on_screen("I want some, too ✓");
    say(
        "bob",
        &[
            "send",
            "--reply-to",
            "6",
            "#tea",
            "ann: it is in the kitchen. Try `80 °C` for three minutes:\n> the leaves need room",
        ],
    );
    say("carol", &["send", "ann", "lunch at noon?"]);
    let leader = cluster.leader().expect("one leads");
    cluster.kill(leader);
    ann.keys("a replica has died: did you notice?\r");
    ann.wait_on_screen("did you notice? ✓");
    ann.wait_on_screen("only 2 of 3 replicas");
    ann.keys("thank you, bo");
    ann.wait_on_screen("thank you, bo");
    ann.wait_on_screen("1!");
    write("docs/chat.svg", ann.picture());
}

/// Two chats while a recording is made of both.
struct Stage {
    people: [Terminal; 2],
    recording: Recording,
    start: Instant,
}

impl Stage {
    fn note(&mut self) {
        let at = self.start.elapsed().as_secs_f32();
        for (place, person) in (0..).zip(&self.people) {
            person.record(&mut self.recording, at, place);
        }
    }

    /// Records while nothing is typed.
    fn pause(&mut self, ms: u64) {
        let until = Instant::now() + Duration::from_millis(ms);
        while Instant::now() < until {
            self.note();
            sleep(Duration::from_millis(20));
        }
    }

    /// Types as a person does.
    fn types(&mut self, person: usize, text: &str) {
        for c in text.chars() {
            self.people[person].keys(&c.to_string());
            self.pause(60);
        }
    }
}

#[test]
#[ignore = "demo/picture.sh records the moving picture of a failover with it"]
fn the_recording_of_a_failover() {
    let mut cluster = Cluster::start(3);
    let mut ann = chat(&cluster, "ann", &[]);
    register(&mut ann, "ann", true);
    let mut bob = chat(&cluster, "bob", &[]);
    register(&mut bob, "bob", false);
    for terminal in [&ann, &bob] {
        terminal.resize(SIZE.0, SIZE.1);
        terminal.wait_on_screen("bob joined");
    }
    bob.keys("\x1b");
    ann.wait_on_screen("3 of 3 replicas");
    let mut stage = Stage {
        people: [ann, bob],
        recording: Recording::new(SIZE.0, SIZE.1, 2),
        start: Instant::now(),
    };
    stage.pause(1_500);
    stage.types(0, "Good morning! Does the chat run on three machines?\r");
    stage.pause(700);
    stage.types(1, "Yes. Pull the plug of the leader, and write on.\r");
    stage.pause(700);
    stage.types(0, "I kill -9 it in the middle of thi");
    let leader = cluster.leader().expect("one leads");
    cluster.kill(leader);
    stage.types(0, "s sentence.\r");
    stage.pause(1_000);
    stage.types(1, "Nothing lost, nothing twice.\r");
    stage.pause(1_500);
    // One that hangs takes a second longer to replace than one that dies.
    stage.types(0, "And now the next leader hangs: ");
    let leader = cluster.leader().expect("one leads");
    cluster.signal(leader, Signal::STOP);
    stage.types(0, "does this arrive?\r");
    stage.pause(1_500);
    stage.types(1, "It does. One replica is left, and says so.\r");
    stage.pause(4_000);
    for terminal in &stage.people {
        terminal.wait_on_screen("redundancy lost: 1 of 3");
        terminal.wait_on_screen("It does.");
    }
    stage.note();
    cluster.signal(leader, Signal::CONT);
    let seconds = stage.start.elapsed().as_secs_f32() + 3.0;
    write("docs/failover.svg", stage.recording.picture(seconds));
}
