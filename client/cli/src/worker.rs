//! The worker carries out the actions of the chat's `app`, and passes every input to it.
//!
//! Owns the tasks and channels of a chat. One task carries out typed lines in order, so that
//! messages arrive in that order and a history contains the messages typed before it.

use std::io::{self, IsTerminal as _};

use serde_json::{Value, json};
use tercet_client::{Client, HistoryRequest, Start};
use tercet_types::limits::{BODY_BYTES_MAX, PAGE_MESSAGES_MAX};
use tokio::sync::mpsc;

use crate::app::{Action, App, Change, Input, Shown};
use crate::editor::{Editor, Typed};
use crate::failure::Failure;
use crate::lines::{BadLine, Lines};
use crate::messages::{
    account_json, account_text, block_changed_text, chat_text, event_json, hit_json, marked,
    message_json, message_text,
};
use crate::output::{self};
use crate::plain_text::indent;
use crate::stop_signals::StopSignals;
use crate::times::rfc3339;

/// The worker reads no lines while this many requests are under way.
const PENDING_MAX: usize = 64;
const QUEUE: usize = 64;
const HISTORY_SHOWN: i32 = 20;
const HITS_SHOWN: u32 = 20;
const ACCOUNTS_SHOWN: u32 = 100;
const PAGE: u32 = PAGE_MESSAGES_MAX as u32;
/// A line from a pipe has at most this many bytes: a message, and `/msg NAME ` before it.
const LINE_BYTES_MAX: usize = BODY_BYTES_MAX + 64;
/// A terminal that edits lines itself keeps this many bytes of a line, and drops the rest silently.
const TERMINAL_LINE_BYTES_MAX: usize = 4_095;

/// The worker runs a chat on stdin and stdout until the chat ends. With `json`, each event is one
/// object on one line.
///
/// # Errors
/// If stdout cannot be written; [`Failure::Reported`] if a request failed.
pub async fn run(client: Client, json: bool) -> Result<(), Failure> {
    let mut stop = StopSignals::listen().map_err(|e| Failure::io("listen for signals", &e))?;
    let (inputs, mut happened) = mpsc::channel(QUEUE);
    let mut app = App::new();
    let mut keyboard = Keyboard::open(&app.prompt(), json);
    let subscription = tokio::spawn(follow(client.clone(), inputs.clone()));
    let (outbox, queued) = mpsc::unbounded_channel(); // bounded by PENDING_MAX
    let sender = tokio::spawn(answer_in_order(client.clone(), queued, inputs.clone()));
    let mut worker = Worker {
        client,
        inputs,
        outbox,
        json,
    };
    let ended = loop {
        let (input, is_typed) = tokio::select! {
            Some(input) = happened.recv() => (input, false),
            input = keyboard.next(), if app.pending() < PENDING_MAX && keyboard.is_open() => {
                (input, true)
            }
            () = stop.received() => break Ok(()),
        };
        let next = worker.carry_out(app.handle(input));
        match next {
            Ok(Next::GoOn) if is_typed && !app.has_ended() => keyboard.go_on(&app.prompt()),
            Ok(Next::GoOn) => {}
            Ok(Next::Quit) => break Ok(()),
            Err(failure) => break Err(failure),
        }
    };
    subscription.abort();
    sender.abort();
    match (ended, app.failures()) {
        (Ok(()), 0) => Ok(()),
        (Ok(()), _) => Err(Failure::Reported),
        (Err(failure), _) => Err(failure),
    }
}

enum Next {
    GoOn,
    Quit,
}

struct Worker {
    client: Client,
    inputs: mpsc::Sender<Input>,
    outbox: mpsc::UnboundedSender<Action>,
    json: bool,
}

impl Worker {
    fn carry_out(&mut self, actions: Vec<Action>) -> Result<Next, Failure> {
        for action in actions {
            match action {
                Action::Show(shown) => self.show(&shown)?,
                Action::Notice(text) => self.tell(&text, "notice"),
                Action::Failed(text) => self.tell(&text, "error"),
                // The sending task lives as long as this loop.
                typed @ (Action::Send { .. }
                | Action::Who(_)
                | Action::History(_)
                | Action::Search(_)
                | Action::Change { .. }
                | Action::Block { .. }) => {
                    drop(self.outbox.send(typed));
                }
                Action::Quit => return Ok(Next::Quit),
                request => {
                    let (client, inputs) = (self.client.clone(), self.inputs.clone());
                    tokio::spawn(async move { answer(client, request, inputs).await });
                }
            }
        }
        Ok(Next::GoOn)
    }

    fn show(&self, shown: &Shown) -> Result<(), Failure> {
        if self.json {
            return output::object(&shown_json(shown));
        }
        output::line(&match shown {
            Shown::Received(message) => chat_text(message, false),
            Shown::Sent(message) => chat_text(message, true),
            Shown::Past { message, mine } => chat_text(message, *mine),
            Shown::Found(hit) => message_text(&marked(hit)),
            Shown::Account(account) => account_text(account),
            Shown::Text(text) => (*text).to_owned(),
        })
    }

    fn tell(&self, text: &str, what: &str) {
        if self.json {
            output::json_notice(&json!({what: {"message": text}}))
        } else {
            output::notice(&format!("* {}", indent(text)))
        }
    }
}

fn shown_json(shown: &Shown) -> Value {
    match shown {
        Shown::Received(message) => event_json("message", message_json(message)),
        Shown::Past { message, .. } => event_json("past", message_json(message)),
        Shown::Sent(message) => event_json(
            "sent",
            json!({
                "message_id": message.message_id,
                "cursor": message.cursor,
                "recipient": message.recipient,
                "body": message.body,
                "sent_at_ms": message.sent_at_ms,
                "sent_at": rfc3339(message.sent_at_ms),
                "instant": message.instant,
            }),
        ),
        Shown::Found(hit) => event_json("hit", hit_json(hit)),
        Shown::Account(account) => event_json("account", account_json(account)),
        Shown::Text(text) => event_json("help", json!({ "text": text })),
    }
}

async fn answer(client: Client, request: Action, inputs: mpsc::Sender<Input>) {
    let input = match request {
        Action::FetchWaiting => return fetch_waiting(client, inputs).await,
        Action::Acknowledge(ids) => {
            let result = client.acknowledge_messages(ids).await;
            Input::Acknowledged(result.map(|_| ()).map_err(|error| error.to_string()))
        }
        Action::Who(pattern) => {
            let page = client.list_accounts(&pattern, ACCOUNTS_SHOWN, "").await;
            let more = page
                .as_ref()
                .is_ok_and(|page| !page.next_page_token.is_empty());
            let accounts = page.map(|page| page.accounts);
            Input::Accounts {
                result: accounts.map_err(|error| error.to_string()),
                more,
            }
        }
        Action::History(peer) => {
            let request = HistoryRequest {
                peer: peer.clone(),
                page_size: HISTORY_SHOWN,
                ..HistoryRequest::default()
            };
            let page = client.list_messages(request).await;
            let messages = page.map(|page| page.messages);
            let result = messages.map_err(|error| error.to_string());
            Input::History { peer, result }
        }
        Action::Search(words) => {
            let page = client.search_messages(&words, HITS_SHOWN, "").await;
            let more = page
                .as_ref()
                .is_ok_and(|page| !page.next_page_token.is_empty());
            let hits = page.map(|page| page.hits);
            Input::Found {
                result: hits.map_err(|error| error.to_string()),
                more,
            }
        }
        Action::Block { name, block } => {
            let done = if block {
                client.block_account(&name, false).await.map(|_| true)
            } else {
                client.unblock_account(&name).await
            };
            Input::BlockAnswered(match done {
                Ok(true) => Ok(block_changed_text(&name, block, false)),
                Ok(false) => Ok(format!("{name} was not blocked")),
                Err(error) if block => Err(format!("{name} is not blocked: {error}")),
                Err(error) => Err(format!("{name} is not unblocked: {error}")),
            })
        }
        Action::Change { to, seq, change } => {
            let done = match &change {
                Change::Edit(body) => client.edit_message(&to, seq, body).await,
                Change::Delete => client.delete_message(&to, seq).await,
                Change::React(reaction) => client.set_reaction(&to, seq, reaction, false).await,
            };
            let failed = |error| format!("{to} {seq} is as it was: {error}");
            Input::Changed(done.map(|_| ()).map_err(failed))
        }
        Action::Send { to, body } => {
            let sent = client.send_message(&to, &body).await;
            let result = sent.map_err(|error| error.to_string());
            Input::Sent { to, body, result }
        }
        Action::Show(_) | Action::Notice(_) | Action::Failed(_) | Action::Quit => return,
    };
    let _ = inputs.send(input).await; // the chat may have ended
}

async fn fetch_waiting(client: Client, inputs: mpsc::Sender<Input>) {
    let mut page_token = String::new();
    loop {
        let input = match client.fetch_undelivered(PAGE, &page_token).await {
            Ok(page) => {
                page_token = page.next_page_token;
                Input::Waiting {
                    messages: page.messages,
                    last: page_token.is_empty(),
                }
            }
            Err(error) if error.may_pass() => Input::StillLost(error.to_string()),
            Err(error) => Input::Over(error.to_string()),
        };
        let is_last = matches!(input, Input::Waiting { last: true, .. } | Input::Over(_));
        if inputs.send(input).await.is_err() || is_last {
            return;
        }
    }
}

async fn answer_in_order(
    client: Client,
    mut queued: mpsc::UnboundedReceiver<Action>,
    inputs: mpsc::Sender<Input>,
) {
    while let Some(action) = queued.recv().await {
        answer(client.clone(), action, inputs.clone()).await;
    }
}

/// The task passes on the subscription's events until the login session ends.
async fn follow(client: Client, inputs: mpsc::Sender<Input>) {
    let mut subscription = client.subscribe(Start::Now);
    loop {
        let input = match subscription.next().await {
            Ok(event) => Input::Event(event),
            Err(error) if error.may_pass() => Input::StillLost(error.to_string()),
            Err(error) => Input::Over(error.to_string()),
        };
        let over = matches!(input, Input::Over(_));
        if inputs.send(input).await.is_err() || over {
            return;
        }
    }
}

/// The source of typed lines.
enum Keyboard {
    Edited(Editor),
    Read(mpsc::Receiver<Input>),
    /// The end of the input was reported.
    Closed,
}

impl Keyboard {
    /// Opens the line editor if there is a terminal for it, and else reads lines.
    fn open(prompt: &str, json: bool) -> Keyboard {
        let editor = if json { None } else { Editor::start(prompt) };
        editor.map_or_else(|| Keyboard::Read(read_lines()), Keyboard::Edited)
    }

    fn is_open(&self) -> bool {
        !matches!(self, Keyboard::Closed)
    }

    /// Waits for the next line or the end. The future may be dropped and the call repeated.
    async fn next(&mut self) -> Input {
        let input = match self {
            Keyboard::Edited(editor) => match editor.next().await {
                Typed::Line(line) => Some(Input::Line(line)),
                Typed::End => None,
                Typed::Failed(what) => {
                    output::notice(&format!("* no more can be typed: {what}"));
                    None
                }
            },
            Keyboard::Read(lines) => lines.recv().await,
            Keyboard::Closed => std::future::pending().await,
        };
        input.unwrap_or_else(|| {
            *self = Keyboard::Closed;
            Input::NoMoreLines
        })
    }

    fn go_on(&self, prompt: &str) {
        if let Keyboard::Edited(editor) = self {
            editor.go_on(prompt);
        }
    }
}

/// Reads lines on a thread that nothing waits for: an input may never end.
fn read_lines() -> mpsc::Receiver<Input> {
    let (sender, receiver) = mpsc::channel(QUEUE);
    std::thread::spawn(move || {
        let limit = if io::stdin().is_terminal() {
            TERMINAL_LINE_BYTES_MAX - 1
        } else {
            LINE_BYTES_MAX
        };
        let mut lines = Lines::new(io::stdin().lock(), limit);
        while let Ok(Some(line)) = lines.next_line() {
            let input = match line {
                Ok(line) => Input::Line(line),
                Err(bad @ BadLine::TooLong { .. }) => {
                    Input::BadLine(format!("{bad}; a message has at most {BODY_BYTES_MAX}"))
                }
                Err(bad) => Input::BadLine(bad.to_string()),
            };
            if sender.blocking_send(input).is_err() {
                return;
            }
        }
    });
    receiver
}
