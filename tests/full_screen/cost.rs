//! The cost of the chat: the bytes that it writes, which are counted, and its times, which are only printed.

use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::*;

/// The goals, in bytes: for a typed character, and for a new message.
const KEY_BYTES_MAX: usize = 4 * 1_024;
const MESSAGE_BYTES_MAX: usize = 16 * 1_024;

#[test]
fn a_typed_character_and_a_new_message_write_few_bytes() {
    let cluster = Cluster::start(1);
    let mut ann = chat(&cluster, "ann", &[]);
    register(&mut ann, "ann", true);
    ann.resize(160, 50);
    // One text of many lines fills the screen. No two lines are alike, so that nothing stays when they scroll.
    let letter = |at: usize| ('a'..='z').cycle().nth(at).map(String::from);
    let words = |line: usize| (0..12).filter_map(move |at| letter(line * 7 + at));
    let lines: Vec<String> = (0..60)
        .map(|line| {
            let words: Vec<String> = words(line).map(|letter| letter.repeat(8)).collect();
            format!("line {line:02} 日本 👍 *{}*", words.join("* *"))
        })
        .collect();
    ann.keys(&format!("\x1b[200~{}\x1b[201~\r", lines.join("\n")));
    ann.wait_on_screen("line 59");
    ann.wait_on_screen("✓");
    let file = sessions_file(&cluster, "bob");
    for arguments in [
        &["register", "bob", "--password", "correct horse", "--login"][..],
        &["room", "join", "#lobby"],
    ] {
        let output = cluster.on_device(&file, arguments);
        assert!(output.status.success(), "{}", cluster::said(&output));
    }
    ann.wait_on_screen("bob joined");

    let mut largest = (0, 0);
    let mut typed = String::new();
    for at in 0..100 {
        let before = ann.bytes();
        let next = char::from(b'a' + at % 26);
        typed.push(next);
        ann.keys(&next.to_string());
        ann.wait_on_screen(&typed);
        largest.0 = largest.0.max(ann.bytes() - before);
    }
    for at in 0..5 {
        let before = ann.bytes();
        let text = format!("message {at} {}", "with some words ".repeat(8));
        let output = cluster.on_device(&file, &["send", "#lobby", &text]);
        assert!(output.status.success(), "{}", cluster::said(&output));
        ann.wait_on_screen(&format!("message {at}"));
        largest.1 = largest.1.max(ann.bytes() - before);
    }
    println!(
        "a typed character: at most {} bytes; a new message: at most {} bytes",
        largest.0, largest.1
    );
    assert!(largest.0 <= KEY_BYTES_MAX, "{largest:?}");
    assert!(largest.1 <= MESSAGE_BYTES_MAX, "{largest:?}");
}

/// Prints the time from the start of the program to its first frame with 200 conversations in the cache, from a key to
/// its frame, and the processor time of a chat in which nothing happens.
#[test]
#[ignore = "a measurement: docs/performance.md has its command and figures"]
fn what_a_start_a_key_and_an_idle_chat_cost() {
    let cluster = Cluster::start(1);
    let mut ann = chat(&cluster, "ann", &[]);
    register(&mut ann, "ann", true);
    let file = sessions_file(&cluster, "ann");
    for number in 0..200 {
        let room = format!("#room-{number}");
        for arguments in [&["room", "create", &room][..], &["send", &room, "hello"]] {
            let output = cluster.on_device(&file, arguments);
            assert!(output.status.success(), "{}", cluster::said(&output));
        }
    }
    ann.keys("\x07room-199\r");
    ann.wait_on_screen("#room-199>");
    ann.wait_on_screen("hello");
    ann.keys("/quit\r");
    assert_eq!(ann.exit_code(), 0);

    // Nobody answers: what is drawn is from the cache.
    cluster.signal(1, Signal::STOP);
    let mut starts = Vec::new();
    for _ in 0..20 {
        let start = Instant::now();
        let mut ann = chat(&cluster, "ann", &[]);
        while !ann.screen().iter().any(|line| line.contains("#room-199>")) {
            sleep(Duration::from_micros(200));
        }
        starts.push(start.elapsed());
        ann.keys("\x03");
        ann.exit_code();
    }
    print("from the start to the first frame", starts);
    cluster.signal(1, Signal::CONT);

    let mut ann = chat(&cluster, "ann", &[]);
    ann.wait_on_screen("1 of 1 replicas");
    let mut keys = Vec::new();
    for at in 0..500_u32 {
        let before = ann.bytes();
        let start = Instant::now();
        ann.keys(if at % 50 == 49 { "\x15" } else { "x" });
        while ann.bytes() == before {
            std::hint::spin_loop();
        }
        keys.push(start.elapsed());
        sleep(Duration::from_millis(5));
    }
    print("from a key to its frame", keys);

    // The notice of the connection goes away first.
    sleep(Duration::from_secs(10));
    let before = processor_ticks(&ann);
    let seconds = 60;
    sleep(Duration::from_secs(seconds));
    let ticks = processor_ticks(&ann) - before;
    // A tick of /proc is 10 ms.
    println!(
        "idle: {:.2} % of a processor over {seconds} s",
        ticks as f64 / seconds as f64
    );
    ann.keys("\x15/quit\r");
    assert_eq!(ann.exit_code(), 0);
}

fn print(what: &str, mut times: Vec<Duration>) {
    times.sort();
    let at = |part: usize| times[(times.len() * part / 100).min(times.len() - 1)];
    println!("{what}: p50 {:.1?}, p99 {:.1?}", at(50), at(99));
}

/// Returns the user and system time of the chat, in hundredths of a second.
fn processor_ticks(terminal: &Terminal) -> u64 {
    let pid = terminal.child.process_id().expect("it has a pid");
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("read it");
    let (_, after_name) = stat.rsplit_once(')').expect("it has a name");
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    let ticks = |at: usize| fields[at].parse::<u64>().expect("a number");
    ticks(11) + ticks(12)
}
