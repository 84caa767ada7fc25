//! The state of a line-mode chat: inputs go in, actions come out.
//!
//! Pure: knows nothing of the network, the terminal, tasks or time. `worker` passes the inputs in
//! and carries out the actions.
//!
//! A line that begins with one `/` is a command. Every other line is text, and goes to the
//! recipient that `/to` chose, whatever the text contains. So the first word of a text never
//! changes its recipient.

mod model;
mod slash_commands;

pub use model::{Action, Input, Shown};
pub use slash_commands::is_name;

use tercet_client::{Account, Event, Message, SentMessage};

use crate::commands::{BODY_BYTES_MAX, dropped_text};
use slash_commands::{HELP, suggestion};

/// The state of a chat decides which actions follow an input.
#[derive(Debug, Default)]
pub struct App {
    /// The user chose this recipient with `/to`.
    to: Option<String>,
    /// This many actions wait for an answer.
    pending: usize,
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

    /// The chat acknowledges messages only after it shows them: an unseen message stays undelivered.
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
        // The subscription itself delivers messages after its start.
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
