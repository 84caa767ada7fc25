//! The state of the chat: events go in, effects come out.
//!
//! Pure: knows nothing of the network, the terminal, files, tasks or clocks. The worker passes the events in and
//! carries out the effects; `view` draws the state. The files below this module have more of its methods.

mod changes;
mod command_list;
mod commands;
mod complete;
mod conversations;
mod delivery;
mod events;
mod goto;
mod keys;
mod listed;
mod lists;
mod login;
mod markers;
mod net;
mod picker;
mod presence;
mod scroll;
mod settings;
#[cfg(test)]
mod tests;
mod threads;
mod vi;
mod waiting;

use std::collections::BTreeMap;

use crate::conversation::{Conversation, key};
use crate::input::Input;
use crate::key::Key;

pub use complete::Completion;
pub use delivery::{PAGE as DELIVERY_PAGE, Questions};
pub use events::{Choice, ClusterState, Effect, Event, Net, ReplicaState, SendFailure};
pub use login::{Field, LoginForm};
pub use picker::Picker;
pub use presence::Others;
pub use scroll::Places;
pub use settings::{Notify, Settings};
pub use threads::Thread;
pub use vi::Vi;
pub(crate) use waiting::WaitingChange;

/// The time for which a notice stays, in milliseconds.
const NOTICE_MS: i64 = 8_000;
/// The number of sent texts that Up and Ctrl-R reach.
const RECALL_MAX: usize = 500;
/// The width from which members are shown beside the messages, in cells.
pub const WIDE: u16 = 100;
/// The width from which the list of conversations is shown.
pub const LIST_FROM: u16 = 60;

/// The part that gets the keys.
#[derive(Debug, Clone)]
pub enum Mode {
    Login(LoginForm),
    Chat,
    Pick(Picker),
    Cluster,
}

/// The connection to the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Connection {
    /// No leader was found yet.
    Connecting {
        since_ms: i64,
    },
    Connected {
        replica: u32,
    },
    /// The leader is lost.
    Reconnecting {
        since_ms: i64,
        why: String,
    },
    /// The session has ended.
    Over {
        why: String,
    },
}

/// A text for the person that goes away by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    pub text: String,
    pub is_error: bool,
    until_ms: i64,
}

/// The texts that were sent, and the one that Up has recalled.
#[derive(Debug, Clone, Default)]
pub struct Recall {
    sent: Vec<String>,
    /// The number of texts back, and the text that was written before.
    at: Option<(usize, String)>,
}

impl Recall {
    fn push(&mut self, text: String) {
        self.at = None;
        if self.sent.last() != Some(&text) {
            self.sent.push(text);
        }
        if self.sent.len() > RECALL_MAX {
            self.sent.remove(0);
        }
    }
}

/// The state of the chat.
#[derive(Debug, Clone)]
pub struct Model {
    pub settings: Settings,
    /// The name of the account; empty until a session is open.
    pub me: String,
    pub mode: Mode,
    pub connection: Connection,
    pub cluster: Option<ClusterState>,
    /// The conversations by their key: rooms come first.
    pub conversations: BTreeMap<String, Conversation>,
    /// The key of the conversation on the screen.
    pub open: Option<String>,
    /// The conversations that were taken from the list, with the number of their last message.
    pub(crate) closed: BTreeMap<String, u64>,
    /// The thread that is shown in place of the open conversation.
    pub thread: Option<Thread>,
    pub input: Input,
    pub completion: Option<Completion>,
    pub notice: Option<Notice>,
    /// The messages that came since the connection was resumed, and when that was.
    pub caught_up: Option<(u32, i64)>,
    pub members_shown: bool,
    pub has_focus: bool,
    /// Whether the person wants no bell and no notification.
    pub quiet: bool,
    pub has_mouse: bool,
    /// The mode of the letters, if the keys of vi are chosen.
    pub vi: Vi,
    pub columns: u16,
    pub rows: u16,
    pub now_ms: i64,
    /// The position up to which events were seen, for the next start.
    pub cursor: u64,
    /// The keys of a sequence so far.
    pressed: Vec<Key>,
    /// The names of accounts, for completion and jumps.
    people: Vec<String>,
    /// The names of rooms that the person is not in, for the same.
    rooms_to_join: Vec<String>,
    /// Words that count as mentions of the person.
    pub(crate) keywords: Vec<String>,
    /// The accounts that are connected, and those that are writing.
    others: Others,
    /// When the names were last asked for, in milliseconds since the Unix epoch.
    asked_at_ms: i64,
    recall: Recall,
    /// The changes of messages without an answer.
    pub(crate) waiting: Vec<WaitingChange>,
    /// The text whose quitting was asked for once.
    quits: bool,
    /// Whether the person has just logged in.
    is_first_run: bool,
    /// Whether the conversations are from the cache, with messages that were on their way.
    is_restored: bool,
}

impl Model {
    fn is_connected(&self) -> bool {
        matches!(self.connection, Connection::Connected { .. })
    }

    #[must_use]
    pub fn new(settings: Settings, now_ms: i64) -> Model {
        Model {
            settings,
            me: String::new(),
            mode: Mode::Chat,
            connection: Connection::Connecting { since_ms: now_ms },
            cluster: None,
            conversations: BTreeMap::new(),
            open: None,
            closed: BTreeMap::new(),
            thread: None,
            input: Input::default(),
            completion: None,
            notice: None,
            caught_up: None,
            members_shown: true,
            has_focus: true,
            quiet: false,
            has_mouse: false,
            vi: Vi::Insert,
            columns: 80,
            rows: 24,
            now_ms,
            cursor: 0,
            pressed: Vec::new(),
            people: Vec::new(),
            rooms_to_join: Vec::new(),
            keywords: Vec::new(),
            others: Others::default(),
            asked_at_ms: 0,
            recall: Recall::default(),
            waiting: Vec::new(),
            quits: false,
            is_first_run: false,
            is_restored: false,
        }
    }

    /// Takes an event in, and returns what to do, in order.
    pub fn update(&mut self, event: Event, now_ms: i64) -> Vec<Effect> {
        self.now_ms = now_ms;
        let mut effects = Vec::new();
        if self
            .notice
            .as_ref()
            .is_some_and(|notice| notice.until_ms <= now_ms)
        {
            self.notice = None;
        }
        if self
            .caught_up
            .is_some_and(|(_, since)| since + NOTICE_MS <= now_ms)
        {
            self.caught_up = None;
        }
        match event {
            Event::Key(key) => self.key(key, &mut effects),
            Event::Paste(text) => self.paste(&text),
            Event::Resize { columns, rows } => (self.columns, self.rows) = (columns, rows),
            Event::Focus(has_focus) => self.has_focus = has_focus,
            Event::Wheel(lines) => self.scroll_by(lines, &mut effects),
            Event::Tick => {}
            Event::Edited(Ok(text)) => self.input.set(text.trim_end_matches('\n')),
            Event::Edited(Err(why)) => self.fail(why),
            Event::Net(net) => self.net(net, &mut effects),
            Event::Frame => self.note_read(&mut effects),
        }
        self.tell_markers(&mut effects);
        self.tell_delivery(&mut effects);
        effects
    }

    /// Returns when the screen changes without an event, in milliseconds since the Unix epoch.
    #[must_use]
    pub fn wakes_at_ms(&self) -> Option<i64> {
        let notice = self.notice.as_ref().map(|notice| notice.until_ms);
        let caught_up = self.caught_up.map(|(_, since)| since + NOTICE_MS);
        let counts = match self.connection {
            Connection::Connecting { since_ms } | Connection::Reconnecting { since_ms, .. } => {
                let passed = (self.now_ms - since_ms).max(0);
                Some(since_ms + (passed / 1_000 + 1) * 1_000)
            }
            _ => None,
        };
        let asks = self.delivery_at_ms();
        let writing = self.writing_until_ms();
        [notice, caught_up, counts, self.marks_at_ms(), asks, writing]
            .into_iter()
            .flatten()
            .min()
    }

    /// Returns the conversation on the screen, or the messages of the thread that is shown in its place.
    #[must_use]
    pub fn opened(&self) -> Option<&Conversation> {
        match &self.thread {
            Some(thread) => Some(&thread.shown),
            None => self.conversations.get(self.open.as_ref()?),
        }
    }

    /// Tells whether nothing rings: the person said so, or it is an hour for that.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        let is_hour = self.settings.quiet_hours.is_some_and(|(from, to)| {
            let now = crate::view::minute_of_day(self.now_ms, self.settings.is_utc);
            if from <= to {
                (from..to).contains(&now)
            } else {
                now >= from || now < to
            }
        });
        self.quiet || is_hour
    }

    /// Returns the title of the terminal: the unread messages, and what is open.
    #[must_use]
    pub fn title(&self) -> String {
        let unread: u32 = self.loud().map(Conversation::disturbing).sum();
        let open = self.opened().map_or("tercet", |open| &open.name);
        if unread > 0 {
            format!("({unread}) {open}")
        } else {
            open.to_owned()
        }
    }

    /// Returns the conversations that may disturb.
    fn loud(&self) -> impl Iterator<Item = &Conversation> {
        self.conversations
            .values()
            .filter(|one| one.disturbing() > 0)
    }

    fn opened_mut(&mut self, change: impl FnOnce(&mut Conversation)) {
        if let Some(thread) = &mut self.thread {
            change(&mut thread.shown);
        } else if let Some(open) = self
            .open
            .as_ref()
            .and_then(|open| self.conversations.get_mut(open))
        {
            change(open);
        }
    }

    fn open_name(&self) -> Option<String> {
        self.opened().map(|open| open.name.clone())
    }

    /// Returns the conversation with that name, which is made if there is none.
    fn conversation(&mut self, name: &str) -> &mut Conversation {
        let key = key(name);
        self.closed.remove(&key);
        self.conversations
            .entry(key)
            .or_insert_with(|| Conversation::new(name))
    }

    fn tell(&mut self, text: String) {
        self.note(text, false);
    }

    fn fail(&mut self, text: String) {
        self.note(text, true);
    }

    fn note(&mut self, text: String, is_error: bool) {
        self.notice = Some(Notice {
            text,
            is_error,
            until_ms: self.now_ms + NOTICE_MS,
        });
    }

    fn toggle_members(&mut self, effects: &mut Vec<Effect>) {
        let Some(open) = self.opened().filter(|open| open.is_room()) else {
            return self.fail("only rooms have members: open one first".to_owned());
        };
        let name = open.name.clone();
        if self.columns >= WIDE {
            self.members_shown = !self.members_shown;
        } else {
            let rows = open.members.iter().map(|member| {
                (
                    format!("{}{}", member.sign, member.name),
                    Choice::Open(member.name.clone()),
                )
            });
            let rows = rows.collect();
            self.pick(&format!("Members of {name}"), rows);
        }
        effects.push(Effect::Members(name));
    }

    fn set_mouse(&mut self, on: bool, effects: &mut Vec<Effect>) {
        self.has_mouse = on;
        effects.push(Effect::Mouse(on));
        let text = if on {
            "the mouse wheel scrolls; F3 gives the mouse back to the terminal"
        } else {
            "the mouse is the terminal's: select text with it"
        };
        self.tell(text.to_owned());
    }

    fn open_cluster(&mut self, effects: &mut Vec<Effect>) {
        self.mode = Mode::Cluster;
        effects.push(Effect::WatchCluster(true));
    }
}

impl Model {
    /// Goes on from what an earlier run kept: what was open, the names of accounts, and what was sent.
    pub(crate) fn restored(
        &mut self,
        open: Option<String>,
        people: Vec<String>,
        sent: Vec<String>,
    ) {
        self.people = people;
        self.recall.sent = sent;
        self.is_restored = true;
        if let Some(open) = open.filter(|open| self.conversations.contains_key(open)) {
            let draft = std::mem::take(&mut self.conversation(&open).draft);
            self.input.set(&draft);
            self.open = Some(open);
        }
    }

    /// Returns what the next run goes on from: the names of accounts, and what was sent.
    pub(crate) fn remembered(&self) -> (&[String], &[String]) {
        (&self.people, &self.recall.sent)
    }
}
