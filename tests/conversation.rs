//! The chat as people use it from a shell: accounts, sessions, messages, delivery, deletion.

mod cluster;

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    net::TcpListener,
    path::Path,
    process::{Command, Output, Stdio},
};

use tercet_client::{Client, OutgoingMessage, new_request_id};

use cluster::{Cluster, TERCET, all_json, said, wait_until, with_input};

#[test]
fn two_people_talk_across_a_failover() {
    let mut cluster = Cluster::start(3);
    cluster.person("ann");
    cluster.person("bob");
    let sent = cluster.json(&["send", "bob", "are you there?", "--as", "ann", "--json"]);
    assert_eq!(sent["instant"], false, "bob is not connected");
    assert_eq!(
        (&sent["conversation"], &sent["seq"]),
        (&"bob".into(), &1.into())
    );
    let all = [
        "tail", "--since", "0", "--count", "1", "--as", "bob", "--json",
    ];
    let all = cluster.lines(&all);
    let types: Vec<_> = all
        .as_array()
        .expect("lines")
        .iter()
        .map(|line| &line["type"])
        .collect();
    assert_eq!(types, ["subscribed", "message"]);
    let inbox = cluster
        .lines(&["inbox", "--as", "bob", "--json"])
        .to_string();
    assert!(inbox.contains("are you there?"), "{inbox}");
    let again = cluster
        .lines(&["inbox", "--as", "bob", "--json"])
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
        .lines(&["history", "bob", "--as", "ann", "--json"])
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
        .lines(&["inbox", "--as", "bob", "--json"])
        .to_string();
    assert!(!inbox.contains("old bob"), "{inbox}");
    let history = cluster
        .lines(&["history", "ann", "--as", "bob", "--json"])
        .to_string();
    assert!(!history.contains("old bob"), "{history}");
    // What the old one sent stays with whom it was sent to.
    let inbox = cluster
        .lines(&["inbox", "--as", "ann", "--json"])
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
        "/msg bob hello from a pipe\n/to bob\nand more\n/history bob\n/quit\n",
    );
    let text = said(&output);
    assert!(output.status.success(), "{text}");
    assert!(text.contains("bob → you: waiting for you"), "{text}");
    assert!(text.contains("you → bob: hello from a pipe"), "{text}");
    let inbox = cluster
        .lines(&["inbox", "--as", "bob", "--json"])
        .to_string();
    assert!(
        inbox.contains("hello from a pipe") && inbox.contains("and more"),
        "{inbox}"
    );
}

#[test]
fn a_chat_in_json_prints_an_object_a_line() {
    let cluster = Cluster::start(1);
    cluster.person("bob");
    cluster.person("ann");
    cluster.json(&["send", "ann", "one\u{202e}two", "--as", "bob", "--json"]);
    let chat = cluster.command(&["chat", "--as", "ann", "--json"]);
    let output = with_input(chat, "/msg bob \u{2028}hi\n/who\n/history bob\n/nothing\n");
    assert_eq!(output.status.code(), Some(1), "one command is none");
    let events = all_json(&output);
    let of = |kind: &str| {
        let events = events.as_array().expect("an array").iter();
        let of_kind: Vec<_> = events.filter(|event| event["event"] == kind).collect();
        of_kind
    };
    assert_eq!(of("message")[0]["body"], "one\u{202e}two", "{events}");
    assert_eq!(of("sent")[0]["body"], "\u{2028}hi", "{events}");
    assert_eq!(of("account").len(), 2, "{events}");
    assert_eq!(of("past").len(), 2, "{events}");
    let sent_at = of("sent")[0]["sent_at"]
        .as_str()
        .expect("a time")
        .to_owned();
    assert!(sent_at.len() == 24 && sent_at.ends_with('Z'), "{sent_at}");
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(!stdout.contains(['\u{202e}', '\u{2028}']), "{stdout}");
    let errors = String::from_utf8_lossy(&output.stderr);
    for line in errors.lines() {
        let line: serde_json::Value = serde_json::from_str(line).expect("each is JSON");
        assert!(line.is_object(), "{errors}");
    }
    assert!(errors.contains("/nothing"), "{errors}");
}

#[test]
fn a_bad_line_of_a_pipe_is_named_and_costs_no_other_and_no_memory() {
    let cluster = Cluster::start(1);
    cluster.person("bob");
    cluster.person("ann");
    let mut chat = cluster.command(&["chat", "--as", "ann"]);
    let mut chat = chat.stdin(Stdio::piped()).spawn().expect("run tercet");
    let mut stdin = chat.stdin.take().expect("stdin is piped");
    stdin.write_all(b"/to bob\nfirst\n").expect("write");
    let part = vec![b'x'; 1 << 20];
    for _ in 0..200 {
        stdin.write_all(&part).expect("write");
    }
    let peak = peak_kib(chat.id());
    stdin.write_all(b"\nbad \xff byte\nlast\n").expect("write");
    drop(stdin);
    let output = chat.wait_with_output().expect("wait for tercet");
    let text = said(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(
        text.contains("line 3 is longer") && text.contains("16384"),
        "{text}"
    );
    assert!(text.contains("line 4 is not UTF-8"), "{text}");
    let inbox = cluster.lines(&["inbox", "--as", "bob", "--json"]);
    let bodies: Vec<_> = inbox.as_array().expect("an array").iter().collect();
    assert_eq!(bodies.len(), 3, "two messages and the end: {inbox}");
    assert!(peak < 100 * 1024, "{peak} KiB for a line of 200 MiB");
}

fn peak_kib(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("read a status");
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1));
    kib.and_then(|kib| kib.parse().ok()).expect("it has a peak")
}

#[test]
fn text_that_begins_with_a_dash_is_sent() {
    let cluster = Cluster::start(1);
    cluster.person("bob");
    cluster.person("ann");
    let texts = ["-hi", "-h", "--loud", "-1"];
    for text in texts {
        cluster.json(&["send", "bob", text, "--as", "ann", "--json"]);
    }
    cluster.json(&["send", "bob", "--as", "ann", "--json", "--", "--help"]);
    let inbox = cluster.lines(&["inbox", "--as", "bob", "--json"]);
    for text in texts.into_iter().chain(["--help"]) {
        let messages = inbox.as_array().expect("an array").iter();
        let found = messages.filter(|message| message["body"] == text).count();
        assert_eq!(found, 1, "{text}: {inbox}");
    }
    let (code, errors) = cluster.fails(&["send", "bob", "--help", "--as", "ann"]);
    assert!(code == 2 && errors.contains("nothing was sent"), "{errors}");
    let help = cluster.run(&["send", "--help"]);
    assert!(help.status.success() && said(&help).contains("Send one message"));
}

#[test]
fn a_send_without_a_leader_says_what_it_waits_for() {
    let mut cluster = Cluster::start(1);
    cluster.person("ann");
    cluster.kill(1);
    let (code, errors) = cluster.fails(&["send", "ann", "hi", "--timeout", "4"]);
    let address = &cluster.replicas[&1].address;
    let lines: Vec<_> = errors.lines().collect();
    assert_eq!(code, 1, "{errors}");
    assert!(lines[0].starts_with("waiting for a leader"), "{errors}");
    assert!(lines[1].starts_with("error: no replica leads"), "{errors}");
    assert!(
        lines[..2].iter().all(|line| line.contains(address)),
        "{errors}"
    );
}

#[test]
fn a_secret_on_the_command_line_is_seen_by_nobody_else() {
    let cluster = Cluster::start(1);
    cluster.person("ann");
    let mut tail = cluster.command(&["tail", "--token", "hush-hush", "--timeout", "60"]);
    // At an address where nobody answers it waits.
    let mut tail = tail
        .env("TERCET_REPLICAS", "1=127.0.0.1:1")
        .spawn()
        .expect("run tercet");
    let command_line = || fs::read(format!("/proc/{}/cmdline", tail.id())).unwrap_or_default();
    wait_until("the token is gone from the command line", || {
        let text = String::from_utf8_lossy(&command_line()).into_owned();
        text.contains("tail") && !text.contains("hush")
    });
    tail.kill().expect("kill it");
    let output = tail.wait_with_output().expect("wait for it");
    assert!(
        said(&output).contains("warning: --token"),
        "{}",
        said(&output)
    );

    let file = cluster.dir.path().join("password");
    fs::write(&file, "correct horse\n").expect("write a file");
    let file = file.to_str().expect("it is UTF-8");
    cluster.json(&["login", "ann", "--password-file", file, "--json"]);
    // An option wins over the environment, whichever way either is written.
    for (option, variable, value) in [
        (["--password-file", file], "TERCET_PASSWORD", "wrong words"),
        (
            ["--password", "correct horse"],
            "TERCET_PASSWORD_FILE",
            "/dev/null",
        ),
    ] {
        let mut login = cluster.command(&["login", "ann", option[0], option[1]]);
        let output = login.env(variable, value).output().expect("run tercet");
        assert!(output.status.success(), "{}", said(&output));
    }
    let (_, errors) = cluster.fails(&["login", "ann", "--password-file", "/dev/null"]);
    assert!(errors.contains("begins with an empty line"), "{errors}");
}

/// A command in a directory, with nothing set but where sessions are.
fn command_in(directory: &Path, sessions: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(TERCET);
    let command = command.args(arguments).current_dir(directory);
    for name in ["TERCET_REPLICAS", "TERCET_TOKEN", "TERCET_USER"] {
        command.env_remove(name);
    }
    let command = command
        .env("TERCET_SESSION_FILE", sessions)
        .stdin(Stdio::null());
    command.output().expect("run tercet")
}

#[test]
fn a_strangers_env_file_gets_no_token_and_stops_no_command() {
    let cluster = Cluster::start(1);
    cluster.person("ann");
    let sessions = cluster.dir.path().join("sessions.json");
    let checkout = tempfile::tempdir().expect("make a directory");
    let file = checkout.path().join(".env");
    let below = checkout.path().join("src");
    fs::create_dir(&below).expect("make a directory");
    let stranger = TcpListener::bind("127.0.0.1:0").expect("listen");
    stranger.set_nonblocking(true).expect("do not block");
    let address = stranger.local_addr().expect("it has an address");
    let env = format!("NOT 'a setting\nPATH=/nowhere\nTERCET_REPLICAS=1={address}\n");
    fs::write(&file, &env).expect("write a file");

    let run = |directory: &Path, more: &[&str]| {
        let arguments = [&["send", "ann", "hi", "--timeout", "3"], more].concat();
        command_in(directory, &sessions, &arguments)
    };
    for more in [&["--as", "ann"][..], &[], &["--token", "of-ann"]] {
        let text = said(&run(checkout.path(), more));
        assert!(
            text.contains("exit Some(1)") && text.contains(".env"),
            "{text}"
        );
        assert!(!text.contains("of-ann"), "{text}");
    }
    // Nor does it help to name a file where a text is given, or a file of the person's.
    let names_files = "TERCET_ADMIN_TOKEN_FILE=x\nTERCET_TOKEN_FILE=sessions.json\n";
    fs::write(&file, format!("TERCET_REPLICAS=1={address}\n{names_files}")).expect("write a file");
    fs::write(checkout.path().join("sessions.json"), "secret\n").expect("write a file");
    let text = said(&run(checkout.path(), &["--as", "ann"]));
    assert!(
        text.contains("exit Some(1)") && text.contains("the token is not"),
        "{text}"
    );
    let admin = ["cluster", "stop", "1", "--admin-token", "of-the-operator"];
    let text = said(&command_in(checkout.path(), &sessions, &admin));
    assert!(
        text.contains("exit Some(1)") && text.contains(".env"),
        "{text}"
    );
    let nobody = stranger.accept().expect_err("nobody called").kind();
    assert_eq!(nobody, std::io::ErrorKind::WouldBlock);
    fs::write(&file, &env).expect("write a file");
    // It hinders nobody who says where to, and counts in its own directory only.
    let list = cluster.list();
    let to = ["--as", "ann", "--replicas", &list];
    for directory in [checkout.path(), &below] {
        let output = run(directory, &to);
        assert!(output.status.success(), "{}", said(&output));
    }
    let nowhere = command_in(&below, &sessions, &["cluster", "status", "--timeout", "1"]);
    assert!(
        !said(&nowhere).contains(&address.to_string()),
        "{}",
        said(&nowhere)
    );
    // Who logs in is told where the password goes.
    let login = ["login", "ann", "--password-file", "/dev/null"];
    let text = said(&command_in(checkout.path(), &sessions, &login));
    assert!(
        text.contains(&format!("the replicas are 1={address}")),
        "{text}"
    );
    // A setting of its own that means nothing is an error, which shows nothing of it.
    fs::write(&file, "A=1\nTERCET_TOKEN hush\n").expect("write a file");
    let text = said(&run(checkout.path(), &to));
    assert!(
        text.contains("exit Some(2)") && text.contains(".env, line 2"),
        "{text}"
    );
    assert!(!text.contains("hush"), "{text}");
    // Where the person has logged in before, a list of a file is as good as any.
    fs::write(&file, format!("TERCET_REPLICAS={list}\n")).expect("write a file");
    let output = run(checkout.path(), &["--as", "ann"]);
    assert!(output.status.success(), "{}", said(&output));
}

/// More than `history` keeps in memory.
const MESSAGES: u32 = 2_500;

#[test]
fn a_large_inbox_is_shown_in_the_memory_of_a_page() {
    let cluster = Cluster::start(1);
    cluster.person("bob");
    cluster.person("ann");
    let login = ["login", "ann", "--password", "correct horse", "--json"];
    let token = cluster.json(&login)["token"]
        .as_str()
        .expect("a token")
        .to_owned();
    let client = Client::new(cluster.list().parse().expect("a list"));
    let client = client.with_token(&token).expect("a token");
    let text = "x".repeat(15_000);
    let message = |number: u32| OutgoingMessage {
        request_id: new_request_id(),
        recipient: "bob".to_owned(),
        body: format!("{number} {text}"),
    };
    let sending = async {
        for first in (0..MESSAGES).step_by(100) {
            let batch = (first..first + 100).map(message).collect::<Vec<_>>();
            for outcome in client.send_batch(batch).await.expect("a batch is taken") {
                outcome.expect("each is taken");
            }
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.expect("a runtime").block_on(sending);

    let mut inbox = cluster.command(&["inbox", "--as", "bob", "--json", "--limit", "200000"]);
    let mut inbox = inbox.spawn().expect("run tercet");
    let mut stdout = BufReader::new(inbox.stdout.take().expect("stdout is piped"));
    let (mut messages, mut peak, mut line) = (0_u32, 0, String::new());
    while stdout.read_line(&mut line).expect("read a line") > 0 {
        messages += u32::from(line.contains("\"event\":\"message\""));
        if messages % 100 == 0 && line.contains("\"event\":\"message\"") {
            peak = peak_kib(inbox.id());
        }
        line.clear();
    }
    assert!(inbox.wait().expect("wait for it").success());
    assert_eq!(messages, MESSAGES);
    // The messages are 37 MB, and one object of them took five times as much; a page is 7.5.
    assert!(peak < 50 * 1024, "{peak} KiB for pages of 500");
    let again = cluster.lines(&["inbox", "--as", "bob", "--json"]);
    assert_eq!(again[0]["event"], "end", "all were acknowledged");

    let all = [
        "history", "bob", "--as", "ann", "--json", "--limit", "200000",
    ];
    let told = cluster.lines(&all);
    let told: Vec<_> = told.as_array().expect("an array").iter().collect();
    let number = |body: &str| body.split(' ').next().and_then(|n| n.parse::<u32>().ok());
    let numbers: Vec<_> = told
        .iter()
        .filter_map(|event| number(event["body"].as_str()?))
        .collect();
    assert_eq!(numbers, (0..MESSAGES).collect::<Vec<_>>());
}
