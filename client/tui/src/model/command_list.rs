//! The list of the commands that begin with `/`.

/// A command: its name, its arguments, and its help.
pub const COMMANDS: &[(&str, &str, &str)] = &[
    ("help", "[WORD]", "list and search keys and commands"),
    (
        "open",
        "NAME",
        "open the conversation with a person, or a room (#ROOM)",
    ),
    ("msg", "NAME TEXT", "send one text to another conversation"),
    ("join", "#ROOM", "become a member of a public room"),
    ("create", "#ROOM [TOPIC]", "make a public room"),
    (
        "create-private",
        "#ROOM [TOPIC]",
        "make a room for those who are invited",
    ),
    (
        "edit",
        "[TEXT]",
        "give the selected message, or your last one here, another text",
    ),
    (
        "reply",
        "[TEXT]",
        "reply to the selected message, or the last of somebody else",
    ),
    (
        "react",
        "EMOJI",
        "add a reaction to the selected message, or the last of somebody else",
    ),
    ("unreact", "EMOJI", "take your reaction back"),
    (
        "pin",
        "",
        "keep the selected message, or the last of somebody else, where all find it",
    ),
    (
        "edits",
        "",
        "list the earlier texts of the selected message, or the last that was edited",
    ),
    ("unpin", "", "take the pin of a message back"),
    ("pins", "", "list what is pinned here; Enter goes there"),
    (
        "delete",
        "",
        "erase the selected message, or your last one here",
    ),
    (
        "thread",
        "",
        "show the thread of the selected message, or the last thread here",
    ),
    (
        "links",
        "",
        "list the links in this conversation, to open one",
    ),
    ("mentions", "", "list the messages that mention you"),
    ("new", "", "list everything that is unread"),
    ("invite", "NAME", "make a person a member of this room"),
    ("kick", "NAME", "remove a member, who may join again"),
    ("ban", "NAME", "remove a person, and keep them out"),
    ("unban", "NAME", "end a ban"),
    ("bans", "", "list who is banned from this room"),
    (
        "promote",
        "NAME member|admin|owner",
        "give a member another role",
    ),
    (
        "topic",
        "[TEXT|-]",
        "show the topic of this room, or set it; - clears it",
    ),
    (
        "rename",
        "#NEW",
        "give this room another name; the old one is free at once",
    ),
    (
        "set",
        "WHAT",
        "make this room public, private, announce-only, open, keep-edits, forget-edits, mentions-restricted, mentions-open",
    ),
    (
        "archive",
        "",
        "close this room for good: members read it, nobody writes",
    ),
    ("leave", "", "end your membership in this room"),
    ("members", "", "show or hide the members of this room"),
    ("rooms", "[PATTERN]", "list rooms; * and ? are wildcards"),
    ("who", "[PATTERN]", "list accounts"),
    (
        "close",
        "",
        "take this conversation from the list until a message comes",
    ),
    (
        "unread",
        "[SEQ]",
        "mark a message and all later ones as unread: the selected one, the last, or that with a number",
    ),
    ("read", "", "mark all conversations as read"),
    (
        "mute",
        "",
        "show no counts and no notifications of this conversation",
    ),
    ("unmute", "", "end that"),
    (
        "notify",
        "all|mentions|none",
        "set which messages of this conversation count as unread for you; none is /mute",
    ),
    (
        "keyword",
        "WORD",
        "let texts with a word or phrase ring like one that mentions you",
    ),
    ("unkeyword", "WORD", "end that"),
    ("keywords", "", "list your keywords"),
    ("dnd", "on|off", "do not disturb: no bell, no notification"),
    (
        "block",
        "NAME",
        "hide the direct messages of a person from now on",
    ),
    (
        "refuse",
        "NAME",
        "block a person, whose messages are refused",
    ),
    ("unblock", "NAME", "end a block"),
    ("blocks", "", "list whom you block"),
    (
        "profile",
        "[NAME]",
        "show what a person shows of themselves; without a name, you",
    ),
    (
        "display-name",
        "TEXT|-",
        "set the name that others are shown beside yours; - clears it",
    ),
    ("status", "TEXT|-", "set your status text; - clears it"),
    ("retry", "", "send again what failed here"),
    (
        "copy",
        "",
        "copy the selected message, or the last, to the clipboard of the terminal",
    ),
    (
        "find",
        "TEXT",
        "go to the last loaded message with this text; again for the one before",
    ),
    (
        "goto",
        "[DAY] [TIME]",
        "go to the first message of a day or time here: 2026-11-28, 10:30, or both",
    ),
    (
        "state",
        "[KEY [VALUE]]",
        "list the keys with values beside this conversation, or set one",
    ),
    (
        "search",
        "WORDS",
        "find messages everywhere: words, \"phrases\", from:NAME, in:#ROOM, before:, after:, has:link",
    ),
    (
        "export",
        "[#ROOM] FILE",
        "write all data of your account, or of a room that you own, to a new file",
    ),
    ("editor", "", "write the text in $VISUAL or $EDITOR"),
    (
        "emoji",
        "names|pictures",
        "show emoji as :names:, or as they are",
    ),
    ("mouse", "on|off", "let the mouse wheel scroll"),
    ("cluster", "", "show the replicas of the cluster"),
    ("sessions", "", "list your login sessions"),
    (
        "logout",
        "",
        "end the session, and remove its cache from this machine",
    ),
    (
        "quit",
        "",
        "leave; messages that come meanwhile wait for you",
    ),
];

/// Other words for commands: those of other chats.
pub const ALIASES: &[(&str, &str)] = &[
    ("dm", "msg"),
    ("exit", "quit"),
    ("j", "join"),
    ("names", "members"),
    ("part", "leave"),
    ("query", "open"),
    ("whois", "profile"),
];

/// The words that a command takes as its last argument, and how many arguments stand before them.
#[must_use]
pub fn words_of(command: &str) -> (usize, &'static [&'static str]) {
    match command {
        "promote" => (1, &["member", "admin", "owner"]),
        "set" => (
            0,
            &[
                "public",
                "private",
                "announce-only",
                "open",
                "keep-edits",
                "forget-edits",
                "mentions-restricted",
                "mentions-open",
            ],
        ),
        "notify" => (0, &["all", "mentions", "none"]),
        "dnd" | "mouse" => (0, &["on", "off"]),
        "emoji" => (0, &["names", "pictures"]),
        _ => (0, &[]),
    }
}
