//! The table of limits that clients and the server must agree on. The server refuses requests beyond them with a
//! BadRequest, except for pages: a larger page is cut to the limit. `docs/api.md` lists them.

/// Replicas that a cluster may have.
pub const REPLICAS_MAX: usize = 9;
/// Replicas that a client's list may name, former ones among them.
pub const LISTED_REPLICAS_MAX: usize = 64;

/// Characters of an account's name.
pub const USERNAME_CHARS_MAX: usize = 32;
/// Bytes of a password that is set.
pub const PASSWORD_BYTES_MIN: usize = 8;
/// Bytes of any password.
pub const PASSWORD_BYTES_MAX: usize = 256;
/// Characters of what a client calls itself.
pub const LABEL_CHARS_MAX: usize = 64;
/// Characters of a display name, in NFC.
pub const DISPLAY_NAME_CHARS_MAX: usize = 64;
/// Characters of a status text, in NFC.
pub const STATUS_TEXT_CHARS_MAX: usize = 140;
/// Characters of the name of an API token.
pub const TOKEN_NAME_CHARS_MAX: usize = 64;
/// API tokens of an account, expired ones too. Part of the rules of command version 2.
pub const ACCOUNT_TOKENS_MAX: usize = 50;
/// Days that an API token with an end is valid.
pub const TOKEN_DAYS_MAX: u32 = 3_650;
/// Sessions that a list of an account's open sessions has.
pub const SESSIONS_LISTED_MAX: usize = 1_000;
/// Bytes of a reaction.
pub const REACTION_BYTES_MAX: usize = 32;
/// Different reactions to one message. Part of the rules of command version 3.
pub const MESSAGE_REACTIONS_MAX: usize = 20;
/// Earlier texts that are kept of one message, in a room that keeps edits. Part of the rules of command version 3.
pub const MESSAGE_EDITS_KEPT_MAX: usize = 50;
/// Pinned messages of one conversation. Part of the rules of command version 3.
pub const CONVERSATION_PINS_MAX: usize = 50;
/// Bytes of a message.
pub const BODY_BYTES_MAX: usize = 16 * 1024;
/// Different words after an `@` of a message that may mention somebody. Part of the rules of command version 3.
pub const MENTIONS_MAX: usize = 50;
/// Members that `@here` mentions one by one; where more are connected, it mentions all members.
pub const HERE_MAX: usize = 200;
/// Mentions of a conversation that are counted.
pub const MENTIONS_COUNTED_MAX: usize = 1_000;
/// Mentions on a page.
pub const PAGE_MENTIONS_MAX: usize = 100;
/// Characters of a keyword, in NFC.
pub const KEYWORD_CHARS_MAX: usize = 32;
/// Keywords of an account. Part of the rules of command version 3.
pub const ACCOUNT_KEYWORDS_MAX: usize = 50;
/// Accounts whose presence one call asks for.
pub const PRESENCE_NAMES_MAX: usize = 100;
/// Accounts that are told of a change of an account's presence.
pub const PRESENCE_AUDIENCE_MAX: usize = 500;
/// Members of a room in which presence and typing are told.
pub const SMALL_ROOM_MEMBERS_MAX: usize = 200;
/// Seconds in which an account is told of once as typing in a conversation.
pub const TYPING_SECONDS: u64 = 3;
/// Seconds for which a client shows that somebody is typing.
pub const TYPING_SHOWN_SECONDS: u32 = 6;
/// Messages that one call, or one frame of a stream, sends.
pub const BATCH_MESSAGES_MAX: usize = 100;
/// Messages that one call acknowledges.
pub const ACKNOWLEDGED_MAX: usize = 1_000;
/// Accounts that one account blocks.
pub const BLOCKS_MAX: usize = 1_000;
/// Characters of a pattern of names.
pub const PATTERN_CHARS_MAX: usize = 64;

/// Characters of a search.
pub const SEARCH_CHARS_MAX: usize = 256;
/// Words and phrases of a search.
pub const SEARCH_TERMS_MAX: usize = 16;
/// Messages on a page of a search.
pub const PAGE_HITS_MAX: usize = 100;

/// Characters of a room's topic.
pub const TOPIC_CHARS_MAX: usize = 250;
/// Members of a room.
pub const ROOM_MEMBERS_MAX: usize = 10_000;
/// Accounts that are banned from a room. Part of the rules of command version 3.
pub const ROOM_BANS_MAX: usize = 1_000;
/// Rooms that an account is a member of.
pub const ACCOUNT_ROOMS_MAX: usize = 1_000;

/// Characters of a key of state, all of them ASCII.
pub const STATE_KEY_CHARS_MAX: usize = 128;
/// Bytes of a value of state.
pub const STATE_VALUE_BYTES_MAX: usize = 16 * 1024;
/// Keys of a conversation. Part of the rules of command version 3.
pub const STATE_KEYS_MAX: u64 = 1_000;
/// Bytes of all keys and values of a conversation. Part of the rules of command version 3.
pub const STATE_BYTES_MAX: u64 = 1_048_576;

/// Bytes of a program that is submitted to a key of state.
pub const PROGRAM_BYTES_MAX: usize = 4 * 1024;
/// Arguments of a program.
pub const PROGRAM_ARGUMENTS_MAX: usize = 16;
/// Bytes of an argument of a program.
pub const PROGRAM_ARGUMENT_BYTES_MAX: usize = 4 * 1024;
/// Bytes of the answer of a program, as JSON.
pub const PROGRAM_ANSWER_BYTES_MAX: usize = 4 * 1024;

/// The shortest time for which messages are kept, milliseconds: an hour.
pub const RETENTION_MS_MIN: i64 = 3_600_000;
/// The longest, 10 years of 365 days.
pub const RETENTION_MS_MAX: i64 = 315_360_000_000;

/// Messages on a page.
pub const PAGE_MESSAGES_MAX: usize = 500;
/// Accounts on a page.
pub const PAGE_ACCOUNTS_MAX: usize = 1_000;
/// Blocked accounts on a page.
pub const PAGE_BLOCKS_MAX: usize = 1_000;
/// Characters of the last message of a conversation in the list of conversations.
pub const PREVIEW_CHARS_MAX: usize = 100;
/// Rooms, members of a room, or conversations on a page.
pub const PAGE_ROOMS_MAX: usize = 1_000;
/// Keys of state on a page.
pub const PAGE_STATE_MAX: usize = 1_000;
