//! The state of a line-mode chat: what happened in, what to do out.
//!
//! Pure: knows nothing of the network, the terminal, tasks or time. `worker` feeds it and
//! carries out what it asks for.

use crate::api::{Event, Message};
use crate::cli::dropped_text;
use crate::output::indent;

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// A line was typed, without its end.
    Line(String),
    /// No more lines will come.
    NoMoreLines,
    /// From the subscription.
    Event(Event),
    /// A page of messages that were waiting; `last` on the last page.
    Waiting { messages: Vec<Message>, last: bool },
    /// The answer to [`Action::Send`]: whether it was pushed at once.
    Sent {
        to: String,
        result: Result<bool, String>,
    },
    /// The answer to [`Action::Who`].
    Accounts {
        result: Result<Vec<String>, String>,
        more: bool,
    },
    /// The answer to [`Action::History`].
    History(Result<Vec<Message>, String>),
    /// The answer to [`Action::Acknowledge`].
    Acknowledged(Result<(), String>),
    /// Still no connection; it is being tried on.
    StillLost(String),
    /// The session is over: nothing more can be done.
    Over(String),
}

/// Something to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Write to stdout: messages and answers.
    Print(String),
    /// Write to stderr: what is going on.
    Notice(String),
    Send {
        to: String,
        body: String,
    },
    /// Fetch what waits for this account, page by page.
    FetchWaiting,
    Who(String),
    History(String),
    Acknowledge(Vec<String>),
    Quit,
}

const HELP: &str = "\
NAME: TEXT         send TEXT to NAME
/to NAME           send the lines that follow to NAME (a leading space sends `a: b` as it is)
/who [PATTERN]     list the accounts; * and ? are wildcards
/history NAME      show the newest messages to and from NAME
/help              show this
/quit              leave";

const NAME_MAX: usize = 32;

#[derive(Debug, Default)]
pub struct App {
    /// To whom plain lines go.
    to: Option<String>,
    /// Actions that were asked for and not answered.
    pending: usize,
    ended: bool,
    quit: bool,
    /// Where the subscription started: what lies behind it comes from there.
    start: Option<u64>,
    failures: u64,
}

impl App {
    pub fn new() -> App {
        App::default()
    }

    /// Requests that are under way; the worker stops reading lines above its limit.
    pub fn pending(&self) -> usize {
        self.pending
    }

    /// Requests that failed.
    pub fn failures(&self) -> u64 {
        self.failures
    }

    pub fn handle(&mut self, input: Input) -> Vec<Action> {
        let mut actions = Vec::new();
        match input {
            Input::Line(_) if self.ended => {}
            Input::Line(line) => self.line(&line, &mut actions),
            Input::NoMoreLines => self.ended = true,
            Input::Event(event) => self.event(event, &mut actions),
            Input::Waiting { messages, last } => self.waiting(messages, last, &mut actions),
            Input::Sent { to, result } => self.sent(&to, result, &mut actions),
            Input::Accounts { result, more } => self.accounts(result, more, &mut actions),
            Input::History(result) => self.history(result, &mut actions),
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
                self.failures += 1;
                actions.push(Action::Notice(format!("the session is over: {why}")));
                self.quit = true;
                actions.push(Action::Quit);
            }
        }
        // All that was typed is sent, all that waited is shown: the end of input is the end.
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
        actions.push(Action::Notice(text));
    }

    fn line(&mut self, line: &str, actions: &mut Vec<Action>) {
        if line.trim().is_empty() {
            return;
        }
        if let Some(command) = line.strip_prefix('/') {
            self.command(command, actions);
            return;
        }
        if let Some((to, body)) = addressed(line) {
            let (to, body) = (to.to_owned(), body.to_owned());
            self.ask(Action::Send { to, body }, actions);
            return;
        }
        match self.to.clone() {
            Some(to) => {
                let body = line.strip_prefix(' ').unwrap_or(line).to_owned();
                self.ask(Action::Send { to, body }, actions);
            }
            None => {
                let text = "to whom? Write `NAME: TEXT`, or `/to NAME` first; /help shows more";
                self.fail(text.to_owned(), actions);
            }
        }
    }

    fn command(&mut self, command: &str, actions: &mut Vec<Action>) {
        let (word, rest) = command.split_once(' ').unwrap_or((command, ""));
        let rest = rest.trim();
        match (word, rest) {
            ("help", _) => actions.push(Action::Print(HELP.to_owned())),
            ("quit", _) => self.ended = true,
            ("who", pattern) => {
                let pattern = if pattern.is_empty() { "*" } else { pattern };
                self.ask(Action::Who(pattern.to_owned()), actions);
            }
            ("to", name) if is_name(name) => {
                self.to = Some(name.to_owned());
                actions.push(Action::Notice(format!("now writing to {name}")));
            }
            ("history", name) if is_name(name) => {
                self.ask(Action::History(name.to_owned()), actions);
            }
            ("to" | "history", _) => self.fail(format!("write /{word} NAME"), actions),
            _ => self.fail(format!("there is no /{word}; /help shows what is"), actions),
        }
    }

    fn event(&mut self, event: Event, actions: &mut Vec<Action>) {
        match event {
            Event::Subscribed {
                cursor, replica, ..
            } => match self.start {
                Some(_) => actions.push(Action::Notice(format!("resumed at replica {replica}"))),
                None => {
                    self.start = Some(cursor);
                    self.ask(Action::FetchWaiting, actions);
                }
            },
            Event::Message(message) => self.incoming(&[message], actions),
            Event::Dropped {
                recipient, count, ..
            } => actions.push(Action::Notice(dropped_text(&recipient, count))),
            Event::Lost { why } => {
                actions.push(Action::Notice(format!("connection lost ({why}) …")));
            }
        }
    }

    /// Prints messages, then acknowledges them: what nobody saw is not delivered.
    fn incoming(&mut self, messages: &[Message], actions: &mut Vec<Action>) {
        for message in messages {
            actions.push(Action::Print(shown(message)));
        }
        if !messages.is_empty() {
            let ids = messages.iter().map(|message| message.message_id.clone());
            self.ask(Action::Acknowledge(ids.collect()), actions);
        }
    }

    fn waiting(&mut self, mut messages: Vec<Message>, last: bool, actions: &mut Vec<Action>) {
        // What came after the subscription stood comes by it.
        let start = self.start.unwrap_or(0);
        messages.retain(|message| message.cursor <= start);
        self.incoming(&messages, actions);
        if last {
            self.pending -= 1;
        }
    }

    fn sent(&mut self, to: &str, result: Result<bool, String>, actions: &mut Vec<Action>) {
        self.pending -= 1;
        match result {
            Ok(true) => {}
            Ok(false) => {
                let text = format!("{to} is not connected; the message waits");
                actions.push(Action::Notice(text));
            }
            Err(what) => self.fail(format!("not sent to {to}: {what}"), actions),
        }
    }

    fn accounts(
        &mut self,
        result: Result<Vec<String>, String>,
        more: bool,
        actions: &mut Vec<Action>,
    ) {
        self.pending -= 1;
        match result {
            Ok(names) if names.is_empty() => {
                actions.push(Action::Notice("no account matches".to_owned()));
            }
            Ok(names) => {
                actions.push(Action::Print(names.join("\n")));
                if more {
                    let text = "there are more: narrow the pattern".to_owned();
                    actions.push(Action::Notice(text));
                }
            }
            Err(what) => self.fail(format!("no list: {what}"), actions),
        }
    }

    fn history(&mut self, result: Result<Vec<Message>, String>, actions: &mut Vec<Action>) {
        self.pending -= 1;
        match result {
            Ok(messages) if messages.is_empty() => {
                actions.push(Action::Notice("no messages yet".to_owned()));
            }
            Ok(messages) => {
                let lines = messages.iter().map(crate::output::message_text);
                actions.extend(lines.map(Action::Print));
            }
            Err(what) => self.fail(format!("no history: {what}"), actions),
        }
    }
}

fn shown(message: &Message) -> String {
    format!("{}: {}", message.sender, indent(&message.body))
}

/// `NAME: TEXT` in its parts.
fn addressed(line: &str) -> Option<(&str, &str)> {
    let (name, body) = line.split_once(": ")?;
    (is_name(name) && !body.is_empty()).then_some((name, body))
}

fn is_name(text: &str) -> bool {
    let good = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    (1..=NAME_MAX).contains(&text.len()) && text.chars().all(good)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing() -> App {
        let mut app = App::new();
        let subscribed = Event::Subscribed {
            cursor: 10,
            replica: 1,
            resumed: false,
        };
        let actions = app.handle(Input::Event(subscribed));
        assert_eq!(actions, [Action::FetchWaiting]);
        let messages = Vec::new();
        let last = true;
        assert_eq!(app.handle(Input::Waiting { messages, last }), []);
        app
    }

    fn line(app: &mut App, text: &str) -> Vec<Action> {
        app.handle(Input::Line(text.to_owned()))
    }

    fn send(to: &str, body: &str) -> Action {
        let (to, body) = (to.to_owned(), body.to_owned());
        Action::Send { to, body }
    }

    fn message(id: &str, cursor: u64) -> Message {
        Message {
            message_id: id.to_owned(),
            cursor,
            sender: "bob".to_owned(),
            body: "hi".to_owned(),
            ..Message::default()
        }
    }

    #[test]
    fn a_line_goes_to_whom_it_names() {
        let mut app = standing();
        assert_eq!(
            line(&mut app, "bob: hello: you"),
            [send("bob", "hello: you")]
        );
    }

    #[test]
    fn plain_lines_go_to_whom_was_chosen() {
        let mut app = standing();
        let actions = line(&mut app, "hello");
        assert!(matches!(&actions[..], [Action::Notice(text)] if text.contains("to whom")));
        line(&mut app, "/to bob");
        assert_eq!(line(&mut app, "http://x: y"), [send("bob", "http://x: y")]);
        assert_eq!(line(&mut app, " note: this"), [send("bob", "note: this")]);
    }

    #[test]
    fn commands_ask_for_what_they_name() {
        let mut app = standing();
        assert_eq!(line(&mut app, "/who"), [Action::Who("*".to_owned())]);
        assert_eq!(line(&mut app, "/who a*"), [Action::Who("a*".to_owned())]);
        let history = Action::History("bob".to_owned());
        assert_eq!(line(&mut app, "/history bob"), [history]);
        let wrong = line(&mut app, "/history two words");
        assert!(matches!(&wrong[..], [Action::Notice(_)]));
        assert!(matches!(&line(&mut app, "/dance")[..], [Action::Notice(_)]));
    }

    #[test]
    fn quit_leaves_once_all_is_sent() {
        let mut app = standing();
        assert_eq!(line(&mut app, "bob: bye"), [send("bob", "bye")]);
        assert_eq!(line(&mut app, "/quit"), []);
        assert_eq!(line(&mut app, "bob: too late"), []);
        let to = "bob".to_owned();
        let result = Ok(true);
        assert_eq!(app.handle(Input::Sent { to, result }), [Action::Quit]);
    }

    #[test]
    fn a_message_is_acknowledged_after_it_is_printed() {
        let mut app = standing();
        let actions = app.handle(Input::Event(Event::Message(message("m1", 11))));
        let acknowledge = Action::Acknowledge(vec!["m1".to_owned()]);
        assert_eq!(actions, [Action::Print("bob: hi".to_owned()), acknowledge]);
    }

    #[test]
    fn what_waits_and_also_comes_by_the_subscription_is_shown_once() {
        let mut app = App::new();
        app.handle(Input::Event(Event::Subscribed {
            cursor: 10,
            replica: 1,
            resumed: false,
        }));
        let messages = vec![message("old", 9), message("new", 11)];
        let last = true;
        let actions = app.handle(Input::Waiting { messages, last });
        let acknowledge = Action::Acknowledge(vec!["old".to_owned()]);
        assert_eq!(actions, [Action::Print("bob: hi".to_owned()), acknowledge]);
    }

    #[test]
    fn the_end_of_input_waits_for_all_that_is_pending() {
        let mut app = standing();
        line(&mut app, "bob: one");
        line(&mut app, "bob: two");
        assert_eq!(app.handle(Input::NoMoreLines), []);
        let answered = Input::Sent {
            to: "bob".to_owned(),
            result: Ok(true),
        };
        assert_eq!(app.handle(answered.clone()), []);
        assert_eq!(app.handle(answered), [Action::Quit]);
    }

    #[test]
    fn the_end_of_input_before_the_connection_stands_still_shows_what_waits() {
        let mut app = App::new();
        assert_eq!(app.handle(Input::NoMoreLines), []);
        let subscribed = Event::Subscribed {
            cursor: 10,
            replica: 1,
            resumed: false,
        };
        assert_eq!(app.handle(Input::Event(subscribed)), [Action::FetchWaiting]);
        let messages = vec![message("m", 3)];
        let last = true;
        let actions = app.handle(Input::Waiting { messages, last });
        assert!(matches!(
            &actions[..],
            [Action::Print(_), Action::Acknowledge(_)]
        ));
        assert_eq!(app.handle(Input::Acknowledged(Ok(()))), [Action::Quit]);
    }

    #[test]
    fn a_failover_is_told() {
        let mut app = standing();
        let why = "transport error".to_owned();
        let lost = app.handle(Input::Event(Event::Lost { why }));
        assert!(matches!(&lost[..], [Action::Notice(text)] if text.contains("connection lost")));
        let resumed = app.handle(Input::Event(Event::Subscribed {
            cursor: 10,
            replica: 2,
            resumed: true,
        }));
        assert_eq!(resumed, [Action::Notice("resumed at replica 2".to_owned())]);
    }

    #[test]
    fn a_refused_message_is_told_and_counted() {
        let mut app = standing();
        line(&mut app, "nobody: hello");
        let actions = app.handle(Input::Sent {
            to: "nobody".to_owned(),
            result: Err("no such account".to_owned()),
        });
        assert!(matches!(&actions[..], [Action::Notice(text)] if text.contains("nobody")));
        assert_eq!(app.failures(), 1);
    }
}
