//! The state of a line-mode chat: inputs go in, actions come out.
//!
//! Pure: knows nothing of the network, the terminal, tasks or time. `worker` passes the inputs in
//! and carries out the actions.
//!
//! A line that begins with one `/` is a command. Every other line is text, and goes to the
//! recipient that `/to` chose, whatever the text contains. So the first word of a text never
//! changes its recipient.

mod answers;
mod model;
mod slash_commands;
mod typed;

use std::collections::{BTreeMap, BTreeSet};

use tercet_client::Message;

pub use model::{Action, Change, Input, Shown};

/// The state of a chat decides which actions follow an input. `typed` and `answers` have more of its methods.
#[derive(Debug, Default)]
pub struct App {
    /// The user chose this recipient with `/to`.
    to: Option<String>,
    /// The names that this chat blocked (true) or unblocked: the events of these changes are not shown besides the
    /// answers.
    own_blocks: BTreeMap<String, bool>,
    /// This many actions wait for an answer.
    pending: usize,
    /// This many of them are messages.
    sends: usize,
    /// The id of the account; 0 before the subscription starts.
    account_id: u64,
    /// The own messages that came by the subscription while sends waited: those of another device, or of these sends.
    echoes: Vec<Message>,
    /// The cursors of shown messages of this chat that the subscription has yet to deliver.
    shown: BTreeSet<u64>,
    ended: bool,
    quit: bool,
    /// The subscription started at this cursor and delivers every later message. None before it
    /// starts.
    start: Option<u64>,
    failures: u64,
}

impl App {
    pub fn new() -> App {
        App::default()
    }

    /// This many requests are under way; the worker reads no lines at its limit or above.
    pub fn pending(&self) -> usize {
        self.pending
    }

    /// This many requests failed.
    pub fn failures(&self) -> u64 {
        self.failures
    }

    /// True after `/quit` or the end of standard input: further lines are ignored.
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// The prompt names the recipient, before the typed line.
    pub fn prompt(&self) -> String {
        format!("{}> ", self.to.as_deref().unwrap_or_default())
    }

    /// The chat handles one input and returns the actions in order.
    pub fn handle(&mut self, input: Input) -> Vec<Action> {
        let mut actions = Vec::new();
        match input {
            Input::Line(_) | Input::BadLine(_) if self.ended => {}
            Input::Line(line) => self.line(&line, &mut actions),
            Input::BadLine(what) => self.fail(format!("not sent: {what}"), &mut actions),
            Input::NoMoreLines => self.ended = true,
            Input::Event(event) => self.event(event, &mut actions),
            Input::Waiting { messages, last } => self.waiting(messages, last, &mut actions),
            Input::Sent { to, body, result } => self.sent(to, body, result, &mut actions),
            Input::Accounts { result, more } => self.accounts(result, more, &mut actions),
            Input::Found { result, more } => self.found(result, more, &mut actions),
            Input::History { peer, result } => self.history(&peer, result, &mut actions),
            Input::BlockAnswered(result) => {
                self.pending -= 1;
                match result {
                    Ok(text) => actions.push(Action::Notice(text)),
                    Err(what) => self.fail(what, &mut actions),
                }
            }
            Input::Changed(result) => {
                self.pending -= 1;
                if let Err(what) = result {
                    self.fail(what, &mut actions);
                }
            }
            Input::Acknowledged(result) => {
                self.pending -= 1;
                if let Err(what) = result {
                    self.fail(format!("not acknowledged: {what}"), &mut actions);
                }
            }
            Input::StillLost(why) => {
                actions.push(Action::Notice(format!("still no connection: {why}")));
            }
            Input::Over(why) => {
                self.fail(format!("the session is over: {why}"), &mut actions);
                self.quit = true;
                actions.push(Action::Quit);
            }
        }
        // Quit after the end of input once every typed message is sent and every waiting one shown.
        if self.ended && self.pending == 0 && self.start.is_some() && !self.quit {
            self.quit = true;
            actions.push(Action::Quit);
        }
        actions
    }

    fn ask(&mut self, action: Action, actions: &mut Vec<Action>) {
        self.pending += 1;
        actions.push(action);
    }

    fn fail(&mut self, text: String, actions: &mut Vec<Action>) {
        self.failures += 1;
        actions.push(Action::Failed(text));
    }
}

#[cfg(test)]
mod tests;
