//! The state of a line-mode chat: what happened in, what to do out.
//!
//! Pure: knows nothing of the network, the terminal, tasks or time. `worker` feeds it and
//! carries out what it asks for.
//!
//! A line is a command when it begins with one `/`; every other line is text, and goes to whom
//! `/to` chose, whatever stands in it. So no text goes to somebody else by its first word.

use tercet_client::{Account, Event, Message, SentMessage};

use crate::commands::{BODY_BYTES_MAX, dropped_text};

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// A line was typed, without its end. One with ends of lines in it was pasted: it is text.
    Line(String),
    /// A line was read that cannot be used; why.
    BadLine(String),
    /// No more lines will come.
    NoMoreLines,
    /// From the subscription.
    Event(Event),
    /// A page of messages that were waiting; `last` on the last page.
    Waiting { messages: Vec<Message>, last: bool },
    /// The answer to [`Action::Send`].
    Sent {
        to: String,
        body: String,
        result: Result<SentMessage, String>,
    },
    /// The answer to [`Action::Who`].
    Accounts {
        result: Result<Vec<Account>, String>,
        more: bool,
    },
    /// The answer to [`Action::History`].
    History {
        peer: String,
        result: Result<Vec<Message>, String>,
    },
    /// The answer to [`Action::Acknowledge`].
    Acknowledged(Result<(), String>),
    /// Still no connection; it is being tried on.
    StillLost(String),
    /// The session is over: nothing more can be done.
    Over(String),
}

/// Something to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Write to stdout: messages and answers.
    Show(Shown),
    /// Write to stderr: what is going on.
    Notice(String),
    /// Write to stderr: something that was asked for was not done.
    Failed(String),
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

/// An item for the screen: the answer to a person's request, or a message that somebody sent.
#[derive(Debug, Clone, PartialEq)]
pub enum Shown {
    /// A message to this account.
    Received(Message),
    /// A message of this account that the server has.
    Sent(Message),
    /// A message of a history.
    Past {
        message: Message,
        mine: bool,
    },
    Account(Account),
    Text(&'static str),
}

const HELP: &str = "\
TEXT               send TEXT to whom you chose with /to
//TEXT             send /TEXT, a text that begins with a slash
/to NAME           send the lines that follow to NAME
/msg NAME TEXT     send TEXT to NAME, this once
/who [PATTERN]     list the accounts; * and ? are wildcards
/history [NAME]    show the newest messages to and from NAME
/help              show this
/quit              leave
Several lines that are pasted at once are one text, never commands.";

const COMMANDS: [&str; 6] = ["to", "msg", "who", "history", "help", "quit"];
const NAME_MAX: usize = 32;
/// Letters that may be wrong in a command for it to be suggested.
const SLIPS_MAX: usize = 2;

#[derive(Debug, Default)]
pub struct App {
    /// To whom text goes.
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

    /// No more lines are taken.
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// The prompt before the typed line: it names the recipient.
    pub fn prompt(&self) -> String {
        format!("{}> ", self.to.as_deref().unwrap_or_default())
    }

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
            Input::History { peer, result } => self.history(&peer, result, &mut actions),
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
        actions.push(Action::Failed(text));
    }

    fn line(&mut self, line: &str, actions: &mut Vec<Action>) {
        let text = line.trim_end_matches(['\n', '\r']);
        if text.trim().is_empty() {
            return;
        }
        if line.contains('\n') {
            return self.text(text, actions);
        }
        match text.strip_prefix('/') {
            Some(slashed) if slashed.starts_with('/') => self.text(slashed, actions),
            Some(command) => self.command(command, actions),
            None => self.text(text, actions),
        }
    }

    fn text(&mut self, text: &str, actions: &mut Vec<Action>) {
        match self.to.clone() {
            Some(to) => self.send(to, text, actions),
            None => {
                let text = "not sent, as it goes to nobody yet: choose with `/to NAME`, or write \
                            `/msg NAME TEXT`; /help shows more";
                self.fail(text.to_owned(), actions);
            }
        }
    }

    fn send(&mut self, to: String, body: &str, actions: &mut Vec<Action>) {
        let length = body.len();
        if length > BODY_BYTES_MAX {
            let text = format!(
                "not sent to {to}: the message has {length} bytes, and {BODY_BYTES_MAX} are the most"
            );
            return self.fail(text, actions);
        }
        let body = body.to_owned();
        self.ask(Action::Send { to, body }, actions);
    }

    fn command(&mut self, command: &str, actions: &mut Vec<Action>) {
        let (word, rest) = command.split_once(' ').unwrap_or((command, ""));
        let argument = rest.trim();
        match (word, argument) {
            ("help", _) => actions.push(Action::Show(Shown::Text(HELP))),
            ("quit", "") => self.ended = true,
            ("who", pattern) => {
                let pattern = if pattern.is_empty() { "*" } else { pattern };
                self.ask(Action::Who(pattern.to_owned()), actions);
            }
            ("to", name) if is_name(name) => {
                self.to = Some(name.to_owned());
                actions.push(Action::Notice(format!("now writing to {name}")));
            }
            ("msg", _) => match rest.split_once(' ') {
                Some((name, text)) if is_name(name) && !text.trim().is_empty() => {
                    self.send(name.to_owned(), text, actions);
                }
                _ => self.fail("write /msg NAME TEXT".to_owned(), actions),
            },
            ("history", name) if is_name(name) => {
                self.ask(Action::History(name.to_owned()), actions);
            }
            ("history", "") if self.to.is_some() => {
                let peer = self.to.clone().unwrap_or_default();
                self.ask(Action::History(peer), actions);
            }
            ("to" | "history", _) => self.fail(format!("write /{word} NAME"), actions),
            ("quit", _) => self.fail("write /quit alone, to leave".to_owned(), actions),
            _ => {
                let meant = match suggestion(word) {
                    Some(known) => format!("did you mean /{known}?"),
                    None => "/help shows what there is.".to_owned(),
                };
                let text = format!(
                    "there is no /{word}, and nothing was sent; {meant} (`//{word}` sends `/{word}`)"
                );
                self.fail(text, actions);
            }
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
            Event::Message(message) => self.incoming(vec![message], actions),
            Event::Dropped {
                recipient, count, ..
            } => actions.push(Action::Notice(dropped_text(&recipient, count))),
            Event::Lost { why } => {
                actions.push(Action::Notice(format!("connection lost ({why}) …")));
            }
        }
    }

    /// Shows messages, then acknowledges them: what nobody saw is not delivered.
    fn incoming(&mut self, messages: Vec<Message>, actions: &mut Vec<Action>) {
        let ids: Vec<_> = messages.iter().map(|m| m.message_id.clone()).collect();
        actions.extend(
            messages
                .into_iter()
                .map(|m| Action::Show(Shown::Received(m))),
        );
        if !ids.is_empty() {
            self.ask(Action::Acknowledge(ids), actions);
        }
    }

    fn waiting(&mut self, mut messages: Vec<Message>, last: bool, actions: &mut Vec<Action>) {
        // What came after the subscription stood comes by it.
        let start = self.start.unwrap_or(0);
        messages.retain(|message| message.cursor <= start);
        self.incoming(messages, actions);
        if last {
            self.pending -= 1;
        }
    }

    fn sent(
        &mut self,
        to: String,
        body: String,
        result: Result<SentMessage, String>,
        actions: &mut Vec<Action>,
    ) {
        self.pending -= 1;
        let sent = match result {
            Ok(sent) => sent,
            Err(what) => return self.fail(format!("not sent to {to}: {what}"), actions),
        };
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

    fn accounts(
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

    fn history(
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

/// Whether an account may have this name.
pub fn is_name(text: &str) -> bool {
    let good = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    (1..=NAME_MAX).contains(&text.len()) && text.chars().all(good)
}

/// The command that was probably meant.
fn suggestion(word: &str) -> Option<&'static str> {
    let slips = |known: &&str| distance(word, known);
    let nearest = COMMANDS.into_iter().min_by_key(slips)?;
    (distance(word, nearest) <= SLIPS_MAX.min(nearest.len() - 1)).then_some(nearest)
}

/// How many letters must be added, dropped or changed to make one word of the other; more than
/// anybody asks for where their lengths differ by more.
fn distance(one: &str, other: &str) -> usize {
    if one.len().abs_diff(other.len()) > SLIPS_MAX {
        return usize::MAX;
    }
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (at, c) in (1..).zip(one.chars()) {
        let mut diagonal = std::mem::replace(&mut row[0], at);
        for (column, &d) in (1..).zip(&other) {
            let changed = diagonal + usize::from(c != d);
            diagonal = row[column];
            row[column] = changed.min(diagonal + 1).min(row[column - 1] + 1);
        }
    }
    row[other.len()]
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

    fn to_bob() -> App {
        let mut app = standing();
        line(&mut app, "/to bob");
        app
    }

    fn sent(to: &str, body: &str, instant: bool) -> Input {
        Input::Sent {
            to: to.to_owned(),
            body: body.to_owned(),
            result: Ok(SentMessage {
                message_id: "s1".to_owned(),
                instant,
                ..SentMessage::default()
            }),
        }
    }

    #[test]
    fn text_goes_to_whom_was_chosen_whatever_stands_in_it() {
        let mut app = standing();
        for text in ["hello", "bob: hello"] {
            let actions = line(&mut app, text);
            assert!(matches!(&actions[..], [Action::Failed(text)] if text.contains("/to NAME")));
        }
        line(&mut app, "/to bob");
        assert_eq!(app.prompt(), "bob> ");
        for text in ["carol: is impossible", "http://x: y", " @carol /to carol"] {
            assert_eq!(line(&mut app, text), [send("bob", text)]);
        }
        assert_eq!(line(&mut app, "/msg carol a: b"), [send("carol", "a: b")]);
        assert_eq!(line(&mut app, "again to"), [send("bob", "again to")]);
    }

    #[test]
    fn pasted_lines_are_one_text_and_no_commands() {
        let mut app = to_bob();
        let text = "/quit\n/to carol\nthree";
        assert_eq!(line(&mut app, &format!("{text}\n")), [send("bob", text)]);
        assert_eq!(line(&mut app, "/quit\n"), [send("bob", "/quit")]);
        assert_eq!(line(&mut app, "after it"), [send("bob", "after it")]);
    }

    #[test]
    fn two_slashes_send_one() {
        let mut app = to_bob();
        assert_eq!(line(&mut app, "//quit now"), [send("bob", "/quit now")]);
        assert_eq!(line(&mut app, "///"), [send("bob", "//")]);
    }

    #[test]
    fn a_command_that_is_none_is_told_and_not_sent() {
        let mut app = to_bob();
        for (typed, known) in [
            ("/qiut", "/quit"),
            ("/hsitory x", "/history"),
            ("/tot a", "/to"),
        ] {
            let actions = line(&mut app, typed);
            assert!(
                matches!(&actions[..], [Action::Failed(text)] if text.contains(known)),
                "{actions:?}"
            );
        }
        let actions = line(&mut app, "/etc/passwd");
        assert!(matches!(&actions[..], [Action::Failed(text)] if text.contains("/help")));
        let actions = line(&mut app, "/quit smoking");
        assert!(matches!(&actions[..], [Action::Failed(_)]));
        assert!(!app.has_ended());
    }

    #[test]
    fn a_message_above_the_limit_is_told_and_loses_nothing_else() {
        let mut app = to_bob();
        let most = "x".repeat(BODY_BYTES_MAX);
        assert_eq!(line(&mut app, &most), [send("bob", &most)]);
        let actions = line(&mut app, &format!("{most}x"));
        assert!(matches!(&actions[..], [Action::Failed(text)] if text.contains("16384")));
        let bad = app.handle(Input::BadLine("line 3 is not UTF-8".to_owned()));
        assert!(matches!(&bad[..], [Action::Failed(text)] if text.contains("line 3")));
        assert_eq!(line(&mut app, "more"), [send("bob", "more")]);
        assert_eq!(app.failures(), 2);
    }

    #[test]
    fn what_the_server_has_is_shown_as_sent() {
        let mut app = to_bob();
        line(&mut app, "hi");
        let shown = app.handle(sent("bob", "hi", true));
        assert!(
            matches!(&shown[..], [Action::Show(Shown::Sent(m))] if m.body == "hi" && m.recipient == "bob")
        );
    }

    #[test]
    fn a_history_says_whose_each_message_is() {
        let mut app = to_bob();
        assert_eq!(
            line(&mut app, "/history"),
            [Action::History("bob".to_owned())]
        );
        let of = |sender: &str| Message {
            sender: sender.to_owned(),
            ..Message::default()
        };
        let (peer, result) = ("bob".to_owned(), Ok(vec![of("ann"), of("Bob")]));
        let shown = app.handle(Input::History { peer, result });
        let mine: Vec<_> = shown
            .iter()
            .map(|action| matches!(action, Action::Show(Shown::Past { mine: true, .. })))
            .collect();
        assert_eq!(mine, [true, false]);
    }

    #[test]
    fn commands_ask_for_what_they_name() {
        let mut app = standing();
        assert_eq!(line(&mut app, "/who"), [Action::Who("*".to_owned())]);
        assert_eq!(line(&mut app, "/who a*"), [Action::Who("a*".to_owned())]);
        let history = Action::History("bob".to_owned());
        assert_eq!(line(&mut app, "/history bob"), [history]);
        let wrong = line(&mut app, "/history two words");
        assert!(matches!(&wrong[..], [Action::Failed(_)]));
        assert!(matches!(&line(&mut app, "/dance")[..], [Action::Failed(_)]));
    }

    #[test]
    fn quit_leaves_once_all_is_sent() {
        let mut app = standing();
        assert_eq!(line(&mut app, "/msg bob bye"), [send("bob", "bye")]);
        assert_eq!(line(&mut app, "/quit"), []);
        assert_eq!(line(&mut app, "/msg bob too late"), []);
        let actions = app.handle(sent("bob", "bye", true));
        assert_eq!(actions.last(), Some(&Action::Quit));
    }

    #[test]
    fn a_message_is_acknowledged_after_it_is_printed() {
        let mut app = standing();
        let actions = app.handle(Input::Event(Event::Message(message("m1", 11))));
        let acknowledge = Action::Acknowledge(vec!["m1".to_owned()]);
        let shown = Action::Show(Shown::Received(message("m1", 11)));
        assert_eq!(actions, [shown, acknowledge]);
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
        let shown = Action::Show(Shown::Received(message("old", 9)));
        assert_eq!(actions, [shown, acknowledge]);
    }

    #[test]
    fn the_end_of_input_waits_for_all_that_is_pending() {
        let mut app = standing();
        line(&mut app, "/msg bob one");
        line(&mut app, "/msg bob two");
        assert_eq!(app.handle(Input::NoMoreLines), []);
        let answered = sent("bob", "one", true);
        assert!(!app.handle(answered.clone()).contains(&Action::Quit));
        assert!(app.handle(answered).contains(&Action::Quit));
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
            [Action::Show(_), Action::Acknowledge(_)]
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
        line(&mut app, "/msg nobody hello");
        let actions = app.handle(Input::Sent {
            to: "nobody".to_owned(),
            body: "hello".to_owned(),
            result: Err("no such account".to_owned()),
        });
        assert!(matches!(&actions[..], [Action::Failed(text)] if text.contains("nobody")));
        assert_eq!(app.failures(), 1);
    }
}
