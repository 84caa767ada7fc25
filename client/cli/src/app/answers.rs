//! The part of the chat that shows events and the answers of the server.

use tercet_client::{Account, Event, Hit, Message, SentMessage};

use super::App;
use super::model::{Action, Shown};
use crate::messages::{
    RESYNC_TEXT, block_changed_text, dropped_text, is_in_room, is_sent_by, message_event_text,
};
use tercet_types::name::is_of_room;

impl App {
    pub(super) fn event(&mut self, event: Event, actions: &mut Vec<Action>) {
        match event {
            Event::Subscribed {
                cursor,
                replica,
                account_id,
                ..
            } => {
                self.account_id = account_id;
                match self.start {
                    Some(_) => {
                        actions.push(Action::Notice(format!("resumed at replica {replica}")));
                    }
                    None => {
                        self.start = Some(cursor);
                        self.ask(Action::FetchWaiting, actions);
                    }
                }
            }
            Event::Message(message) if is_sent_by(&message, self.account_id) => {
                self.echo(message, actions);
            }
            Event::Message(message) => self.incoming(vec![message], actions),
            Event::Dropped {
                recipient, count, ..
            } => actions.push(Action::Notice(dropped_text(&recipient, count))),
            Event::BlockChanged {
                username,
                blocked,
                refuse,
                ..
            } => {
                let own = self.own_blocks.get(&username.to_ascii_lowercase());
                if refuse || own != Some(&blocked) {
                    let text = block_changed_text(&username, blocked, refuse);
                    actions.push(Action::Notice(text));
                }
            }
            about @ (Event::Edited { .. }
            | Event::Deleted { .. }
            | Event::Reaction { .. }
            | Event::Pin { .. }) => {
                let text = message_event_text(&about).unwrap_or_default();
                actions.push(Action::Notice(text));
            }
            Event::Read { .. } => {}
            // The chat shows no state.
            Event::StateChanged { .. } => {}
            // The chat shows no profiles.
            Event::ProfileChanged { .. }
            | Event::LevelChanged { .. }
            | Event::KeywordsChanged { .. }
            | Event::Presence(_)
            | Event::Typing { .. } => {}
            Event::Resync { .. } => actions.push(Action::Notice(RESYNC_TEXT.to_owned())),
            Event::Lost { why } => {
                actions.push(Action::Notice(format!("connection lost ({why}) …")));
            }
        }
    }

    /// Shows an own message of another device. Those of this chat are shown with the answers to their sends.
    fn echo(&mut self, message: Message, actions: &mut Vec<Action>) {
        let was_shown = self.shown.remove(&message.cursor);
        // Messages come in the order of their cursors: earlier ones come no more.
        self.shown = self.shown.split_off(&message.cursor);
        match self.sends {
            _ if was_shown => {}
            0 => actions.push(Action::Show(Shown::Sent(message))),
            _ => self.echoes.push(message),
        }
    }

    /// The chat acknowledges messages only after it shows them: an unseen message stays undelivered.
    fn incoming(&mut self, messages: Vec<Message>, actions: &mut Vec<Action>) {
        // Messages of rooms wait for nobody.
        let direct = messages.iter().filter(|m| !is_in_room(m));
        let ids: Vec<_> = direct.map(|m| m.message_id.clone()).collect();
        actions.extend(
            messages
                .into_iter()
                .map(|m| Action::Show(Shown::Received(m))),
        );
        if !ids.is_empty() {
            self.ask(Action::Acknowledge(ids), actions);
        }
    }

    pub(super) fn waiting(
        &mut self,
        mut messages: Vec<Message>,
        last: bool,
        actions: &mut Vec<Action>,
    ) {
        // The subscription itself delivers messages after its start.
        let start = self.start.unwrap_or(0);
        messages.retain(|message| message.cursor <= start);
        self.incoming(messages, actions);
        if last {
            self.pending -= 1;
        }
    }

    pub(super) fn sent(
        &mut self,
        to: String,
        body: String,
        result: Result<SentMessage, String>,
        actions: &mut Vec<Action>,
    ) {
        self.pending -= 1;
        self.sends -= 1;
        self.show_sent(to, body, result, actions);
        if self.sends == 0 {
            let others = self.echoes.drain(..).map(Shown::Sent).map(Action::Show);
            actions.extend(others);
        }
    }

    fn show_sent(
        &mut self,
        to: String,
        body: String,
        result: Result<SentMessage, String>,
        actions: &mut Vec<Action>,
    ) {
        let sent = match result {
            Ok(sent) => sent,
            Err(what) => return self.fail(format!("not sent to {to}: {what}"), actions),
        };
        if is_of_room(&to) {
            // The subscription shows it, as to all members.
            return;
        }
        let echoes = self.echoes.len();
        self.echoes
            .retain(|message| message.message_id != sent.message_id);
        if self.echoes.len() == echoes && self.account_id > 0 {
            self.shown.insert(sent.cursor);
        }
        if !sent.instant {
            let text = format!("{to} is not connected; the message waits");
            actions.push(Action::Notice(text));
        }
        actions.push(Action::Show(Shown::Sent(Message {
            message_id: sent.message_id,
            cursor: sent.cursor,
            recipient: to,
            body,
            sent_at_ms: sent.sent_at_ms,
            instant: sent.instant,
            ..Message::default()
        })));
    }

    pub(super) fn accounts(
        &mut self,
        result: Result<Vec<Account>, String>,
        more: bool,
        actions: &mut Vec<Action>,
    ) {
        self.pending -= 1;
        match result {
            Ok(accounts) if accounts.is_empty() => {
                actions.push(Action::Notice("no account matches".to_owned()));
            }
            Ok(accounts) => {
                actions.extend(
                    accounts
                        .into_iter()
                        .map(|a| Action::Show(Shown::Account(a))),
                );
                if more {
                    let text = "there are more: narrow the pattern".to_owned();
                    actions.push(Action::Notice(text));
                }
            }
            Err(what) => self.fail(format!("no list: {what}"), actions),
        }
    }

    pub(super) fn found(
        &mut self,
        result: Result<Vec<Hit>, String>,
        more: bool,
        actions: &mut Vec<Action>,
    ) {
        self.pending -= 1;
        match result {
            Ok(hits) if hits.is_empty() => {
                actions.push(Action::Notice("no message matches".to_owned()));
            }
            Ok(hits) => {
                // The newest stands last, next to the prompt.
                actions.extend(
                    hits.into_iter()
                        .rev()
                        .map(|hit| Action::Show(Shown::Found(hit))),
                );
                if more {
                    let text = "there are older ones: add words".to_owned();
                    actions.push(Action::Notice(text));
                }
            }
            Err(what) => self.fail(format!("no search: {what}"), actions),
        }
    }

    pub(super) fn history(
        &mut self,
        peer: &str,
        result: Result<Vec<Message>, String>,
        actions: &mut Vec<Action>,
    ) {
        self.pending -= 1;
        match result {
            Ok(messages) if messages.is_empty() => {
                actions.push(Action::Notice("no messages yet".to_owned()));
            }
            Ok(messages) => actions.extend(messages.into_iter().map(|message| {
                let mine = !message.sender.eq_ignore_ascii_case(peer);
                Action::Show(Shown::Past { message, mine })
            })),
            Err(what) => self.fail(format!("no history: {what}"), actions),
        }
    }
}
