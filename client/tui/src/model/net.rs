//! The handling of the reports of the worker.

use tercet_client::{HistoryPage, Message, MessageKind, SentMessage};

use super::{Connection, Effect, LoginForm, Mode, Model, Net, SendFailure};
use crate::conversation::{Older, key};
use crate::item::{Mark, conversation_of, item_of};

/// The room that a first run opens, if there is one.
pub const LOBBY: &str = "#lobby";

impl Model {
    pub(super) fn net(&mut self, net: Net, effects: &mut Vec<Effect>) {
        match net {
            Net::NeedsLogin {
                name,
                is_empty,
                why,
            } => {
                self.mode = Mode::Login(LoginForm::new(&name, is_empty, &why));
            }
            Net::LoginFailed { why } => self.login_failed(why),
            Net::LoggedIn { name, is_new } => self.logged_in(&name, is_new),
            Net::Connected {
                replica,
                resumed,
                cursor,
            } => self.connected(replica, resumed, cursor, effects),
            Net::Lost { why } => self.lost(why),
            Net::Over { why } => self.connection = Connection::Over { why },
            Net::Gap { cursor } => {
                self.cursor = cursor;
                for conversation in self.conversations.values_mut() {
                    conversation.has_gap();
                    // Numbers and cursors may begin anew.
                    conversation.marker.cursor = 0;
                    conversation.last_seq = 0;
                }
                self.refresh_open(effects);
            }
            Net::Cluster(state) => self.cluster = Some(state),
            Net::Message(message) => self.incoming(*message, effects),
            Net::Changed { cursor, message } => {
                self.cursor = self.cursor.max(cursor);
                let me = self.me.clone();
                let (id, name) = (message.conversation_id, conversation_of(&message, &me));
                let item = item_of(*message, &me);
                if let Some(thread) = &mut self.thread {
                    thread.shown.change(item.clone());
                }
                let conversation = self.room(id, &name);
                let was_unread = item.is_deleted && item.seq > conversation.marker.read;
                let is_loaded = conversation.numbered(item.seq).is_some();
                conversation.change(item);
                if was_unread && !conversation.count_unread(&me) && is_loaded {
                    conversation.unread = conversation.unread.saturating_sub(1);
                }
                effects.push(Effect::Save);
            }
            Net::Reacted {
                cursor,
                name,
                seq,
                username,
                reaction,
                removed,
                count,
            } => {
                self.cursor = self.cursor.max(cursor);
                let mine = username.eq_ignore_ascii_case(&self.me).then_some(!removed);
                self.each_copy(&name, |one| {
                    if let Some(item) = one.numbered_mut(seq) {
                        item.react(&reaction, count, mine);
                    }
                });
                effects.push(Effect::Save);
            }
            Net::Change { name, seq, result } => {
                self.change_answered(&name, seq, result, effects);
            }
            Net::Waiting(messages) => {
                for message in messages {
                    self.waiting(message, effects);
                }
            }
            Net::Conversations { listed, cursor } => {
                self.listed(listed, cursor, effects);
                self.ask_for_presence(effects);
            }
            Net::Read {
                cursor,
                name,
                username,
                seq,
            } => self.read_elsewhere(&name, &username, (seq, cursor), effects),
            Net::Marked { name, result } => self.marked(&name, result),
            Net::Level { name, level } => {
                self.conversation(&name).set_level(level);
                effects.push(Effect::Save);
            }
            Net::Presence { name, state } => self.presence_came(&name, state),
            Net::Writing {
                conversation,
                name,
                shown_ms,
            } => self.writes(&conversation, &name, shown_ms),
            Net::Keywords(words) => self.keywords = words,
            Net::People { names, rooms } => (self.people, self.rooms_to_join) = (names, rooms),
            Net::Page {
                name,
                is_older,
                page,
            } => self.page_came(&name, is_older, page, effects),
            Net::Newest { name, messages } => self.newest_came(&name, messages),
            Net::Thread {
                name,
                seq,
                messages,
            } => self.thread_came(&name, seq, messages),
            Net::Members { room, members } => {
                self.conversation(&room).members = members;
                self.ask_for_presence(effects);
            }
            Net::Sent { id, to, result } => self.sent(&id, &to, result, effects),
            Net::Done(Ok(text)) => self.tell(text),
            Net::Done(Err(text)) => self.fail(text),
            Net::Listing { title, rows } if rows.is_empty() => self.tell(format!("{title}: none")),
            Net::Listing { title, rows } => self.pick(&title, rows),
            Net::Open(name) => {
                let known = self.conversations.get(&key(&name));
                if !known.is_some_and(|one| one.marker.is_known) {
                    // Its topic, and what is read of it.
                    effects.push(Effect::Conversations);
                }
                self.open(&name, effects);
                if self.is_first_run {
                    self.is_first_run = false;
                    self.tell(
                        "Ctrl-G goes anywhere · F1 shows all keys and commands · Ctrl-C leaves"
                            .to_owned(),
                    );
                }
            }
            Net::Left(name) => self.is_out(&name, format!("you left {name}"), effects),
        }
    }

    fn logged_in(&mut self, name: &str, is_new: bool) {
        name.clone_into(&mut self.me);
        if matches!(self.mode, Mode::Login(_)) {
            self.mode = Mode::Chat;
        }
        self.is_first_run = is_new;
        if matches!(self.connection, Connection::Over { .. }) {
            self.connection = Connection::Connecting {
                since_ms: self.now_ms,
            };
        }
    }

    fn connected(&mut self, replica: u32, resumed: bool, cursor: u64, effects: &mut Vec<Effect>) {
        let was_connected = self.is_connected();
        self.connection = Connection::Connected { replica };
        self.cursor = self.cursor.max(cursor);
        if resumed && !was_connected {
            self.caught_up = Some((0, self.now_ms));
        }
        if !resumed {
            effects.extend([Effect::People, Effect::Keywords { is_shown: false }]);
            self.forget_calls();
            // What was on its way when the program ended.
            let mut waiting = Vec::new();
            for conversation in self.conversations.values() {
                let on_its_way = conversation
                    .items
                    .iter()
                    .filter(|item| item.mark == Mark::Sending);
                waiting.extend(on_its_way.map(|item| Effect::Send {
                    id: item.id.clone(),
                    to: conversation.name.clone(),
                    text: item.text.clone(),
                    reply_to: item.reply_to,
                }));
            }
            if self.is_restored {
                effects.extend(waiting);
                effects.extend(self.changes_that_wait());
                self.is_restored = false;
            }
        }
        self.refresh_open(effects);
    }

    /// Asks for the newest page of the open conversation, if it may lack something.
    fn refresh_open(&mut self, effects: &mut Vec<Effect>) {
        let Some(open) = self.opened().filter(|open| !open.is_fresh) else {
            return;
        };
        let name = open.name.clone();
        if open.is_room() {
            effects.push(Effect::Members(name.clone()));
        }
        effects.push(Effect::History { name, token: None });
    }

    fn lost(&mut self, why: String) {
        let since_ms = match self.connection {
            Connection::Connecting { since_ms } | Connection::Reconnecting { since_ms, .. } => {
                since_ms
            }
            _ => self.now_ms,
        };
        self.connection = Connection::Reconnecting { since_ms, why };
    }

    fn incoming(&mut self, message: Message, effects: &mut Vec<Effect>) {
        self.cursor = self.cursor.max(message.cursor);
        let is_mine = message.sender.eq_ignore_ascii_case(&self.me);
        if let Some((count, since_ms)) = &mut self.caught_up
            && self.now_ms - *since_ms < 1_500
            && !is_mine
        {
            *count += 1;
        }
        self.take_in(message, effects);
        effects.push(Effect::Save);
    }

    fn waiting(&mut self, message: Message, effects: &mut Vec<Effect>) {
        self.take_in(message, effects);
        effects.push(Effect::Save);
    }

    fn take_in(&mut self, message: Message, effects: &mut Vec<Effect>) {
        let me = self.me.clone();
        let name = conversation_of(&message, &me);
        let is_direct_to_me =
            message.conversation_id == 0 && !message.sender.eq_ignore_ascii_case(&me);
        if is_direct_to_me && !message.delivered {
            effects.push(Effect::Acknowledge(vec![message.message_id.clone()]));
        }
        let (is_room, subject) = (message.conversation_id > 0, message.subject.clone());
        let (id, kind, body) = (message.conversation_id, message.kind, message.body.clone());
        let item = item_of(message, &me);
        let (is_system, is_mine) = (item.is_system, item.is_mine);
        let (text, sender) = (item.text.clone(), item.sender.clone());
        let mentions_me = item.mentions_me;
        let is_about_me = subject.eq_ignore_ascii_case(&me);
        self.room(id, &name);
        self.add_to_thread(&name, &item);
        self.has_written(&name, &item.sender);
        let conversation = self.room(id, &name);
        let seq = item.seq;
        let is_new = conversation.add(item) && seq > conversation.last_seq;
        conversation.last_seq = conversation.last_seq.max(seq);
        if kind == MessageKind::Topic {
            conversation.topic = body;
        }
        let begins = match kind {
            MessageKind::Joined | MessageKind::Created => is_mine,
            MessageKind::Invited => is_about_me,
            _ => false,
        };
        if begins || !is_room {
            // The marker begins where the membership does.
            let marker = &mut conversation.marker;
            marker.is_known = true;
            if begins {
                marker.read = marker.read.max(seq);
                marker.told = marker.read;
            }
        }
        let why = match kind {
            MessageKind::Left if is_mine => Some(format!("you left {name}")),
            MessageKind::Kicked if is_about_me => Some(format!("{sender} removed you from {name}")),
            MessageKind::Banned if is_about_me => Some(format!("{sender} banned you from {name}")),
            _ => None,
        };
        if let Some(why) = why {
            return self.is_out(&name, why, effects);
        }
        let concerns_me = self.open == Some(key(&name)) || is_about_me || is_mine;
        if is_room && is_system && concerns_me {
            effects.push(Effect::Members(name.clone()));
        }
        if is_new && !is_system && !is_mine {
            let from = if is_room {
                format!("{sender} in {name}")
            } else {
                sender
            };
            self.disturb(&name, (&text, mentions_me), &from, effects);
        }
    }

    fn page_came(
        &mut self,
        name: &str,
        is_older: bool,
        page: Result<HistoryPage, String>,
        effects: &mut Vec<Effect>,
    ) {
        let me = self.me.clone();
        let is_open = self.open == Some(key(name));
        let conversation = self.conversation(name);
        match page {
            Ok(page) => {
                if is_older {
                    conversation.add_older(page, &me);
                } else {
                    conversation.add_newest(page, &me);
                    effects.push(Effect::Save);
                }
                let newest = conversation.items.iter().map(|item| item.seq).max();
                conversation.last_seq = conversation.last_seq.max(newest.unwrap_or(0));
                conversation.count_unread(&me);
            }
            Err(why) => {
                if conversation.older == Older::Loading {
                    conversation.older = Older::Unknown;
                    conversation.is_fresh = false;
                }
                conversation.wanted = None;
                conversation.wanted_at_ms = None;
                if is_open {
                    self.fail(format!("no history of {name}: {why}"));
                }
            }
        }
        if is_open {
            self.seek(effects);
            self.seek_time(effects);
            self.seek_new(effects);
        }
    }

    fn sent(
        &mut self,
        id: &str,
        to: &str,
        result: Result<SentMessage, SendFailure>,
        effects: &mut Vec<Effect>,
    ) {
        let answer = match result {
            Ok(sent) => Ok(sent),
            Err(SendFailure { why, is_unknown }) => {
                self.fail(format!("not sent to {to}: {why} (/retry sends it again)"));
                Err(Mark::Failed { why, is_unknown })
            }
        };
        self.each_copy(to, |one| one.sent(id, answer.clone()));
        if self.open == Some(key(to)) {
            self.ask_for_delivery();
        }
        effects.push(Effect::Save);
    }
}
