//! Threads, the list of what is unread, and search with a jump, while the leader dies.

use super::*;

fn say(cluster: &Cluster, arguments: &[&str]) {
    let output = cluster.on_device(&sessions_file(cluster, "bob"), arguments);
    assert!(output.status.success(), "{}", cluster::said(&output));
}

#[test]
fn a_message_is_found_and_its_thread_read_while_the_leader_dies() {
    let mut cluster = Cluster::start(3);
    let mut ann = chat(&cluster, "ann", &[]);
    register(&mut ann, "ann", true);
    ann.wait_on_screen("3 of 3 replicas");
    say(
        &cluster,
        &["register", "bob", "--password", "correct horse", "--login"],
    );
    say(&cluster, &["room", "join", "#lobby"]);
    say(&cluster, &["send", "#lobby", "a needle in the hay"]);
    for number in 0..130 {
        say(&cluster, &["send", "#lobby", &format!("hay {number}")]);
    }
    ann.wait_on_screen("hay 129");
    ann.keys("/quit\r");
    assert_eq!(ann.exit_code(), 0);

    // What must be shown was never loaded on this machine.
    let leader = cluster.leader().expect("one leads");
    cluster.kill(leader);
    fs::remove_dir_all(cluster.dir.path().join("ann/chat-cache")).expect("remove the cache");
    let mut ann = chat(&cluster, "ann", &[]);
    ann.wait_on_screen("only 2 of 3 replicas");
    ann.keys("/search needle\r");
    ann.wait_on_screen("bob: a needle in the hay");
    ann.keys("\r");
    ann.wait_on_screen("a needle in the hay");
    ann.wait_on_screen("messages below");
    ann.keys("\x1br"); // Alt-R replies to it
    ann.wait_on_screen("a reply to bob");
    ann.keys("found it\r");
    ann.wait_on_screen("found it ✓");
    ann.keys("\x1bt"); // Alt-T
    ann.wait_on_screen("#lobby thread>");
    ann.wait_on_screen("a needle in the hay");
    let leader = cluster.leader().expect("one leads");
    cluster.kill(leader);
    ann.keys("still here\r");
    ann.wait_on_screen("still here ✓");
    ann.wait_on_screen("redundancy lost: 1 of 3");
    say(
        &cluster,
        &["send", "ann", "and see https://example.org/hay"],
    );
    ann.keys("\x1b");
    ann.wait_on_screen("↳ bob: a needle in the hay");
    ann.wait_on_screen("1!");
    ann.keys("\x1bi"); // Alt-I
    ann.wait_on_screen("bob: and see");
    ann.keys("and see\r");
    ann.wait_on_screen("bob>");
    // The link has a target that the terminal opens.
    assert!(ann.has("\x1b]8;;https://example.org/hay\x1b\\"));
    ann.keys("\x1bo"); // Alt-O
    ann.wait_on_screen("Links: Enter opens one");
    ann.keys("\r");
    ann.wait_on_screen("https://example.org/hay");
    say(&cluster, &["send", "#lobby", "tea is ready, @room"]);
    ann.wait_on_screen("1!");
    ann.keys("\x1bh"); // Alt-H
    ann.wait_on_screen("bob: tea is ready, @room");
    ann.keys("\r");
    ann.wait_on_screen("#lobby>");
    ann.wait_on_screen("tea is ready, @room");
    ann.keys("/quit\r");
    assert_eq!(ann.exit_code(), 0);
}
