//! One script over everything that people do, run on two clusters: one whose leader is killed between every two steps,
//! and one that nobody disturbs. Both must end in the same state.

mod cluster;

use cluster::{Cluster, people::refused, wait_until};
use serde_json::Value;

/// The steps: who, and the words of the command. `!REASON` as the last word: the command is refused for that reason.
const STEPS: &[(&str, &[&str])] = &[
    ("ann", &["profile", "set", "--display-name", "Ann Lee"]),
    ("ann", &["profile", "set", "--status", "at tea"]),
    ("bob", &["profile", "set", "--display-name", "Bob 茶"]),
    ("ann", &["send", "bob", "hello bob"]),
    ("bob", &["send", "ann", "hello ann, how about tea?"]),
    ("ann", &["send", "ann", "a note to myself"]),
    ("ann", &["send", "bob", "where?", "--reply-to", "2"]),
    ("ann", &["edit", "bob", "3", "where, and when?"]),
    ("bob", &["edit", "ann", "3", "mine", "!NOT_YOUR_MESSAGE"]),
    ("bob", &["react", "ann", "3", "🍵"]),
    ("ann", &["edit", "ann", "1", "a better note"]),
    ("bob", &["send", "ann", "a slip"]),
    ("bob", &["delete", "ann", "4"]),
    ("bob", &["inbox"]),
    ("cy", &["send", "nobody", "hello", "!UNKNOWN_RECIPIENT"]),
    ("ann", &["room", "create", "#tea", "--topic", "green"]),
    ("bob", &["room", "join", "#tea"]),
    ("cy", &["room", "join", "#tea"]),
    ("ann", &["send", "#tea", "which one today?"]),
    ("bob", &["send", "#tea", "Sencha", "--reply-to", "4"]),
    ("ann", &["history", "#tea", "--thread", "4"]),
    (
        "cy",
        &["history", "#tea", "--after", "2020-02-20", "--limit", "2"],
    ),
    ("cy", &["send", "#tea", "oolong 烏龍茶"]),
    ("cy", &["edit", "#tea", "6", "oolong, please"]),
    ("bob", &["edit", "#tea", "6", "mine", "!NOT_YOUR_MESSAGE"]),
    ("ann", &["react", "#tea", "5", "🍵"]),
    ("cy", &["react", "#tea", "5", "🍵"]),
    ("cy", &["unreact", "#tea", "5", "🍵"]),
    ("bob", &["send", "#tea", "a mistake"]),
    ("bob", &["delete", "#tea", "7"]),
    ("ann", &["pin", "#tea", "5"]),
    ("ann", &["room", "set", "#tea", "keep-edits"]),
    ("bob", &["edit", "#tea", "5", "Sencha, please"]),
    ("bob", &["edit", "#tea", "5", "Sencha 煎茶"]),
    ("cy", &["edits", "#tea", "5"]),
    ("bob", &["pin", "#tea", "4", "!ROLE_MAY_NOT"]),
    ("bob", &["pin", "ann", "1"]),
    ("ann", &["pin", "bob", "2"]),
    ("ann", &["unpin", "bob", "1"]),
    ("ann", &["read", "bob"]),
    ("bob", &["read", "#tea", "5"]),
    ("cy", &["read", "#tea"]),
    ("cy", &["read", "#tea", "--unread-from", "7"]),
    ("cy", &["read", "nobody", "!UNKNOWN_ACCOUNT"]),
    ("ann", &["send", "#tea", "@bob, and `@cy`: look"]),
    ("cy", &["send", "#tea", "@room, is it ready?"]),
    ("ann", &["edit", "#tea", "10", "@cy and @bob, look"]),
    (
        "cy",
        &[
            "room",
            "set",
            "#tea",
            "mentions-restricted",
            "!ROLE_MAY_NOT",
        ],
    ),
    ("ann", &["room", "set", "#tea", "mentions-restricted"]),
    ("cy", &["send", "#tea", "@room, and @here?"]),
    ("bob", &["mentions"]),
    ("bob", &["level", "#tea", "mentions"]),
    ("bob", &["level", "ann", "none"]),
    ("bob", &["level", "ann", "all"]),
    ("dan", &["level", "ann", "none", "!UNKNOWN_PEER"]),
    ("bob", &["keywords", "add", "Sencha"]),
    ("bob", &["keywords", "add", "oolong"]),
    ("bob", &["keywords", "remove", "sencha"]),
    ("ann", &["room", "topic", "#tea", "green and black"]),
    ("bob", &["room", "topic", "#tea", "mine", "!ROLE_MAY_NOT"]),
    ("ann", &["room", "promote", "#tea", "bob", "admin"]),
    ("bob", &["room", "topic", "#tea", "all kinds"]),
    ("ann", &["room", "rename", "#tea", "#teas"]),
    ("dan", &["room", "create", "#tea"]),
    ("cy", &["send", "#tea", "wrong room", "!NOT_A_MEMBER"]),
    ("cy", &["send", "#teas", "right room"]),
    ("ann", &["room", "create", "#board", "--private"]),
    ("cy", &["room", "join", "#board", "!UNKNOWN_ROOM"]),
    ("ann", &["room", "invite", "#board", "cy"]),
    ("cy", &["send", "#board", "I am here"]),
    (
        "ann",
        &["state", "set", "#teas", "next", "sencha", "--expect", "0"],
    ),
    ("bob", &["state", "get", "#teas", "next"]),
    ("bob", &["state", "get", "#teas", "none", "!UNKNOWN_KEY"]),
    ("dan", &["state", "get", "#teas", "next", "!NOT_A_MEMBER"]),
    (
        "bob",
        &["submit", "#teas", "cups", "value = (value ?? 0) + 1"],
    ),
    (
        "cy",
        &[
            "submit",
            "#teas",
            "cups",
            "value = (value ?? 0) + args[0]",
            "2",
        ],
    ),
    (
        "ann",
        &["submit", "#teas", "cups", "throw 1", "!PROGRAM_FAILED"],
    ),
    ("ann", &["state", "set", "bob", "plan", "lunch"]),
    ("cy", &["history", "#teas", "--limit", "3"]),
    ("ann", &["room", "set", "#board", "announce-only"]),
    ("ann", &["room", "retention", "#board", "30d"]),
    (
        "cy",
        &["room", "retention", "#board", "1h", "!ROLE_MAY_NOT"],
    ),
    ("cy", &["send", "#board", "and now?", "!ROLE_MAY_NOT"]),
    ("bob", &["room", "kick", "#teas", "cy"]),
    ("cy", &["send", "#teas", "gone", "!NOT_A_MEMBER"]),
    ("cy", &["room", "join", "#teas"]),
    ("bob", &["room", "ban", "#teas", "dan"]),
    ("dan", &["room", "join", "#teas", "!BANNED"]),
    ("bob", &["room", "ban", "#teas", "cy"]),
    ("bob", &["room", "unban", "#teas", "cy"]),
    ("cy", &["room", "join", "#teas"]),
    ("dan", &["feed", "create", "#news"]),
    ("ann", &["feed", "follow", "#news"]),
    ("cy", &["feed", "follow", "#news"]),
    ("dan", &["send", "#news", "new tea"]),
    ("ann", &["send", "#news", "mine", "!ROLE_MAY_NOT"]),
    ("cy", &["feed", "unfollow", "#news"]),
    ("dan", &["room", "promote", "#news", "ann", "admin"]),
    ("ann", &["send", "#news", "newer tea"]),
    ("ann", &["block", "dan", "--refuse"]),
    (
        "dan",
        &["send", "ann", "do you hear me?", "!UNKNOWN_RECIPIENT"],
    ),
    ("bob", &["block", "dan"]),
    ("dan", &["send", "bob", "and you?"]),
    ("ann", &["unblock", "dan"]),
    ("dan", &["send", "ann", "now you do"]),
    ("ann", &["token", "create", "bot", "--scope", "read"]),
    (
        "ann",
        &[
            "token",
            "create",
            "bot",
            "--scope",
            "send",
            "!TOKEN_NAME_TAKEN",
        ],
    ),
    ("ann", &["token", "create", "feed", "--scope", "send"]),
    ("ann", &["token", "revoke", "feed"]),
    ("bob", &["logout", "--others"]),
    ("bob", &["search", "tea"]),
    ("dan", &["room", "archive", "#tea"]),
    ("dan", &["send", "#tea", "closed", "!UNKNOWN_ROOM"]),
    ("eve", &["room", "join", "#teas"]),
    ("eve", &["send", "#teas", "I do not stay"]),
    ("eve", &["send", "ann", "nor here"]),
    ("eve", &["delete-account", "--password", "correct horse"]),
    ("ann", &["room", "leave", "#teas"]),
    ("bob", &["send", "#teas", "I own it now"]),
    ("ann", &["export"]),
];

const PEOPLE: [&str; 5] = ["ann", "bob", "cy", "dan", "eve"];

/// The messages that are read in the end: the account, and the words.
const ENDS: &[(&str, &[&str])] = &[
    ("ann", &["accounts"]),
    ("ann", &["profile"]),
    ("ann", &["profile", "bob"]),
    ("ann", &["conversations"]),
    ("bob", &["conversations"]),
    ("cy", &["conversations"]),
    ("dan", &["conversations"]),
    ("bob", &["mentions"]),
    ("bob", &["keywords"]),
    ("cy", &["mentions"]),
    ("ann", &["history", "bob"]),
    ("ann", &["history", "ann"]),
    ("ann", &["history", "dan"]),
    ("bob", &["history", "dan"]),
    ("bob", &["history", "#teas", "--limit", "100"]),
    ("cy", &["history", "#board", "--limit", "100"]),
    ("dan", &["room", "list"]),
    ("bob", &["room", "members", "#teas"]),
    ("bob", &["room", "bans", "#teas"]),
    ("bob", &["state", "list", "#teas"]),
    ("bob", &["state", "get", "ann", "plan"]),
    ("bob", &["blocks"]),
    ("ann", &["blocks"]),
    ("ann", &["token", "list"]),
    ("cy", &["pins", "#teas"]),
    ("dan", &["feed", "followers", "#news"]),
    ("ann", &["history", "#news"]),
    ("cy", &["edits", "#teas", "5"]),
    ("bob", &["pins", "ann"]),
    ("bob", &["search", "tea"]),
    ("cy", &["search", "oolong"]),
];

/// Removes what differs between two runs of the same steps: ids, positions in the log, times and tokens.
fn without_positions(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|name, _| {
                let name = name.as_str();
                let ends = ["_id", "_at", "_ms", "cursor", "token", "lsn", "through"];
                name != "id" && name != "version" && !ends.iter().any(|end| name.ends_with(end))
            });
            fields.values_mut().for_each(without_positions);
        }
        Value::Array(values) => values.iter_mut().for_each(without_positions),
        _ => {}
    }
}

/// Does one step, and gives what it said.
fn step(cluster: &Cluster, who: &str, words: &[&str]) -> Value {
    let (words, reason) = match words.split_last() {
        Some((last, rest)) if last.starts_with('!') => (rest, Some(&last[1..])),
        _ => (words, None),
    };
    if let Some(reason) = reason {
        assert_eq!(refused(cluster, who, words), reason, "{words:?}");
        return Value::Null;
    }
    let mut answer = cluster.lines(&[words, &["--as", who, "--json"]].concat());
    without_positions(&mut answer);
    answer
}

/// Runs the script, with `between` before each step; gives what each step and each look at the end said.
fn play(cluster: &mut Cluster, between: impl Fn(&mut Cluster)) -> Vec<(String, Value)> {
    cluster.wait_until_whole();
    for name in PEOPLE {
        cluster.person(name);
    }
    let mut said = Vec::new();
    for (who, words) in STEPS {
        between(cluster);
        said.push((format!("{who}: {words:?}"), step(cluster, who, words)));
    }
    between(cluster);
    // The deleted account leaves its rooms a little later.
    wait_until("the deleted account has left", || {
        let members = step(cluster, "bob", &["room", "members", "#teas"]);
        !members.to_string().contains("\"eve\"")
    });
    for (who, words) in ENDS {
        said.push((format!("{who}: {words:?}"), step(cluster, who, words)));
    }
    cluster.assert_equal();
    said
}

/// Kills the leader and starts it again. The next step begins while nobody leads.
fn kill_the_leader(cluster: &mut Cluster) {
    cluster.wait_until_whole();
    let mut leader = None;
    // Whoever answered first may not know it yet.
    wait_until("somebody leads", || {
        leader = cluster.leader();
        leader.is_some()
    });
    let leader = leader.expect("it was found");
    cluster.kill(leader);
    cluster.restart(leader);
}

#[test]
fn script_ends_the_same_whether_or_not_the_leader_is_killed_between_the_steps() {
    assert!(STEPS.len() >= 60);
    let undisturbed = play(&mut Cluster::start(3), |_| {});
    let disturbed = play(&mut Cluster::start(3), kill_the_leader);
    for ((step, one), (_, other)) in undisturbed.iter().zip(&disturbed) {
        assert_eq!(one, other, "{step}");
    }
    assert_eq!(undisturbed.len(), disturbed.len());
}
