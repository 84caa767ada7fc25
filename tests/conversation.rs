//! The chat as people use it from a shell: accounts, sessions, messages, delivery, deletion.

mod cluster;

use cluster::{Cluster, said, wait_until, with_input};

#[test]
fn two_people_talk_across_a_failover() {
    let mut cluster = Cluster::start(3);
    cluster.person("ann");
    cluster.person("bob");
    let sent = cluster.json(&["send", "bob", "are you there?", "--as", "ann", "--json"]);
    assert_eq!(sent["instant"], false, "bob is not connected");
    let inbox = cluster
        .json(&["inbox", "--as", "bob", "--json"])
        .to_string();
    assert!(inbox.contains("are you there?"), "{inbox}");
    let again = cluster
        .json(&["inbox", "--as", "bob", "--json"])
        .to_string();
    assert!(
        !again.contains("are you there?"),
        "it was acknowledged: {again}"
    );

    // Somebody who listens gets it at once, and goes on listening through a failover.
    let mut tail = cluster.command(&["tail", "--as", "bob", "--json", "--count", "2"]);
    let tail = tail.spawn().expect("run tercet tail");
    wait_until("bob is connected", || {
        let sent = cluster.json(&["send", "ann", "is bob there?", "--as", "bob", "--json"]);
        let probe = cluster.json(&["send", "bob", "first", "--as", "ann", "--json"]);
        sent["instant"] == false && probe["instant"] == true
    });
    cluster.kill(1);
    cluster.json(&["send", "bob", "after the failover", "--as", "ann", "--json"]);
    let output = tail.wait_with_output().expect("wait for tail");
    assert!(output.status.success(), "{}", said(&output));

    // The session outlived the leader that gave it; so does the history.
    let history = cluster
        .json(&["history", "bob", "--as", "ann", "--json"])
        .to_string();
    assert!(
        history.contains("are you there?") && history.contains("after the failover"),
        "{history}"
    );
    cluster.json(&["logout", "--as", "ann", "--json"]);
    let (code, _) = cluster.fails(&["send", "bob", "still me", "--as", "ann"]);
    assert_eq!(code, 1);
}

#[test]
fn a_deleted_account_leaves_nothing_to_the_next_owner_of_its_name() {
    let cluster = Cluster::start(3);
    cluster.person("ann");
    cluster.person("bob");
    cluster.json(&["send", "ann", "from the old bob", "--as", "bob", "--json"]);
    cluster.json(&["send", "bob", "to the old bob", "--as", "ann", "--json"]);
    let (code, errors) = cluster.fails(&[
        "delete-account",
        "--as",
        "bob",
        "--password",
        "wrong password",
    ]);
    assert_eq!(code, 1, "{errors}");
    let deleted = cluster.json(&[
        "delete-account",
        "--as",
        "bob",
        "--password",
        "correct horse",
        "--json",
    ]);
    assert_eq!(deleted["messages_dropped"], 1, "{deleted}");
    let (_, errors) = cluster.fails(&["send", "bob", "anybody?", "--as", "ann"]);
    assert!(errors.contains("bob"), "{errors}");

    cluster.person("bob");
    let inbox = cluster
        .json(&["inbox", "--as", "bob", "--json"])
        .to_string();
    assert!(!inbox.contains("old bob"), "{inbox}");
    let history = cluster
        .json(&["history", "ann", "--as", "bob", "--json"])
        .to_string();
    assert!(!history.contains("old bob"), "{history}");
    // What the old one sent stays with whom it was sent to.
    let inbox = cluster
        .json(&["inbox", "--as", "ann", "--json"])
        .to_string();
    assert!(inbox.contains("from the old bob"), "{inbox}");
    cluster.assert_equal();
}

#[test]
fn bad_input_is_refused_with_a_reason() {
    let cluster = Cluster::start(1);
    cluster.person("ann");
    let long_name = "x".repeat(33);
    let long_body = "x".repeat(16 * 1024 + 1);
    let refusals: &[(&[&str], &str)] = &[
        (
            &["register", "ann", "--password", "correct horse"],
            "NAME_TAKEN",
        ),
        (
            &["register", "ANN", "--password", "correct horse"],
            "NAME_TAKEN",
        ),
        (&["register", "", "--password", "correct horse"], "username"),
        (
            &["register", &long_name, "--password", "correct horse"],
            "username",
        ),
        (
            &["register", "an n", "--password", "correct horse"],
            "username",
        ),
        (&["register", "eve", "--password", "short"], "password"),
        (
            &["login", "ann", "--password", "wrong password"],
            "WRONG_CREDENTIALS",
        ),
        (
            &["login", "nobody", "--password", "wrong password"],
            "WRONG_CREDENTIALS",
        ),
        (
            &["send", "nobody", "hello", "--as", "ann"],
            "UNKNOWN_RECIPIENT",
        ),
        (&["send", "ann", "", "--as", "ann"], "body"),
        (&["send", "ann", &long_body, "--as", "ann"], "body"),
        (&["send", "ann", "a bell \u{7}", "--as", "ann"], "body"),
        (&["accounts", "--token", "forged"], "TOKEN"),
        (
            &["history", "ann", "--as", "ann", "--page-token", "forged"],
            "PAGE_TOKEN",
        ),
    ];
    for (arguments, word) in refusals {
        let mut arguments = arguments.to_vec();
        arguments.push("--json");
        let (code, errors) = cluster.fails(&arguments);
        assert!(code == 1 || code == 2, "{arguments:?}: {errors}");
        assert!(errors.contains(word), "{arguments:?} says {errors}");
    }
}

#[test]
fn chat_works_in_a_pipe() {
    let cluster = Cluster::start(3);
    cluster.person("ann");
    cluster.person("bob");
    cluster.json(&["send", "ann", "waiting for you", "--as", "bob", "--json"]);
    let chat = cluster.command(&["chat", "--as", "ann"]);
    let output = with_input(
        chat,
        "bob: hello from a pipe\n/to bob\nand more\n/history bob\n/quit\n",
    );
    let text = said(&output);
    assert!(output.status.success(), "{text}");
    assert!(text.contains("waiting for you"), "{text}");
    let inbox = cluster
        .json(&["inbox", "--as", "bob", "--json"])
        .to_string();
    assert!(
        inbox.contains("hello from a pipe") && inbox.contains("and more"),
        "{inbox}"
    );
}
