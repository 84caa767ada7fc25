//! The messages that the chat marks as read, on all devices, and those that other devices mark.

use super::*;

/// Runs a command of a person on another device, and returns the objects that it printed.
fn say(cluster: &Cluster, device: &str, arguments: &[&str]) -> Vec<serde_json::Value> {
    let arguments = [arguments, &["--json"]].concat();
    let output = cluster.on_device(&sessions_file(cluster, device), &arguments);
    assert!(output.status.success(), "{}", cluster::said(&output));
    cluster::json_lines(&output)
}

/// Waits until a conversation has so many unread messages.
fn wait_for_unread(cluster: &Cluster, device: &str, name: &str, unread: u64) {
    wait_until(&format!("{name} has {unread} unread messages"), || {
        let listed = say(cluster, device, &["conversations"]);
        let one = listed.iter().find(|one| one["name"] == name);
        one.is_some_and(|one| one["unread"] == unread)
    });
}

#[test]
fn only_what_was_on_the_screen_is_read_and_on_all_devices() {
    let mut cluster = Cluster::start(3);
    let mut ann = chat(&cluster, "ann", &[]);
    register(&mut ann, "ann", true);
    let password = ["--password", "correct horse"];
    say(
        &cluster,
        "other",
        &[&["login", "ann"][..], &password].concat(),
    );
    let bob = [&["register", "bob", "--login"][..], &password].concat();
    say(&cluster, "bob", &bob);
    say(&cluster, "bob", &["room", "join", "#lobby"]);
    ann.wait_on_screen("bob joined");

    // The person looks elsewhere.
    ann.keys("\x1b[O");
    for number in 0..40 {
        say(
            &cluster,
            "bob",
            &["send", "#lobby", &format!("number {number:02}")],
        );
    }
    ann.wait_on_screen("number 39");
    wait_for_unread(&cluster, "other", "#lobby", 40);
    // They look again: what is above the screen is still unread, until they scroll through it.
    ann.keys("\x1b[I");
    ann.wait_on_screen("40 unread above");
    ann.keys("\x1b[5~\x1b[5~\x1b[5~"); // PageUp
    ann.wait_on_screen("── new");
    ann.wait_on_screen("number 00");
    let leader = cluster.leader().expect("one leads");
    cluster.kill(leader);
    ann.keys("\x1b[6~\x1b[6~\x1b[6~"); // PageDown
    ann.wait_on_screen("number 39");
    wait_for_unread(&cluster, "other", "#lobby", 0);

    say(&cluster, "bob", &["send", "ann", "psst"]);
    ann.wait_on_screen("1!");
    wait_for_unread(&cluster, "other", "bob", 1);
    // Another device reads it.
    say(&cluster, "other", &["read", "bob"]);
    wait_until("the count is gone", || {
        !ann.screen().iter().any(|line| line.contains("1!"))
    });
    ann.keys("/open bob\r");
    ann.wait_on_screen("bob>");
    ann.keys("yes?\r");
    ann.wait_on_screen("yes? ✓");
    say(&cluster, "bob", &["inbox"]);
    ann.wait_on_screen("yes? ✓✓");
    say(&cluster, "bob", &["read", "ann"]);
    ann.wait_on_screen("yes? ✓✓ read");
    // A message of an open conversation is read at once, and may be marked as unread.
    say(&cluster, "bob", &["send", "ann", "listen"]);
    ann.wait_on_screen("listen");
    wait_for_unread(&cluster, "other", "bob", 0);
    ann.keys("/unread\r");
    wait_for_unread(&cluster, "other", "bob", 1);
    ann.keys("/quit\r");
    assert_eq!(ann.exit_code(), 0);

    // What is on the screen when the person leaves is told before the program ends, and the next start draws the rest.
    let mut ann = chat(&cluster, "ann", &[]);
    ann.wait_on_screen("1!");
    ann.keys("\x0e\x10"); // Ctrl-N, Ctrl-P
    ann.wait_on_screen("listen");
    wait_for_unread(&cluster, "other", "bob", 0);
    say(&cluster, "bob", &["send", "ann", "the last word"]);
    ann.wait_on_screen("the last word");
    wait_for_unread(&cluster, "other", "bob", 0);
    ann.keys("/mute\r");
    ann.wait_on_screen("bob is muted");
    let listed = say(&cluster, "other", &["conversations"]);
    let one = listed.iter().find(|one| one["name"] == "bob");
    assert_eq!(one.expect("it is listed")["level"], "none");
    say(&cluster, "bob", &["send", "ann", "one more"]);
    ann.wait_on_screen("one more");
    ann.keys("\x03");
    assert_eq!(ann.exit_code(), 0);
    wait_for_unread(&cluster, "other", "bob", 0);
}
