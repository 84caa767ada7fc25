//! Carries out what the chat's `app` asks for, and feeds it what happens.
//!
//! Owns the tasks and channels of a chat. What was typed is carried out one after the other, so
//! that messages arrive in that order and a history shows what was sent before it.

use std::io::BufRead as _;

use tokio::sync::mpsc;

use crate::api::{Client, ListMessagesRequest, Start};
use crate::app::{Action, App, Input};
use crate::output::{self, Failure};

/// Requests under way above which no more lines are read.
const PENDING_MAX: usize = 64;
const QUEUE: usize = 64;
const HISTORY_SHOWN: i32 = 20;
const ACCOUNTS_SHOWN: u32 = 100;
const PAGE: u32 = 500;

/// A chat on stdin and stdout until its end.
///
/// # Errors
/// When stdout cannot be written; [`Failure::Told`] when something that was asked for failed.
pub async fn run(client: Client) -> Result<(), Failure> {
    let (inputs, mut happened) = mpsc::channel(QUEUE);
    let mut lines = read_lines();
    let subscription = tokio::spawn(follow(client.clone(), inputs.clone()));
    let (outbox, queued) = mpsc::unbounded_channel(); // bounded by PENDING_MAX
    let sender = tokio::spawn(answer_in_order(client.clone(), queued, inputs.clone()));
    let mut worker = Worker {
        client,
        inputs,
        outbox,
    };
    let mut app = App::new();
    let ended = loop {
        let input = tokio::select! {
            Some(input) = happened.recv() => input,
            line = lines.recv(), if app.pending() < PENDING_MAX && !lines.end_is_told() => {
                lines.told(line)
            }
            _ = tokio::signal::ctrl_c() => break Ok(()),
        };
        match worker.carry_out(app.handle(input)) {
            Ok(Next::GoOn) => {}
            Ok(Next::Quit) => break Ok(()),
            Err(failure) => break Err(failure),
        }
    };
    subscription.abort();
    sender.abort();
    match (ended, app.failures()) {
        (Ok(()), 0) => Ok(()),
        (Ok(()), _) => Err(Failure::Told),
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
}

impl Worker {
    fn carry_out(&mut self, actions: Vec<Action>) -> Result<Next, Failure> {
        for action in actions {
            match action {
                Action::Print(text) => output::line(&text)?,
                Action::Notice(text) => output::notice(&format!("* {text}")),
                // The sending task lives as long as this loop.
                typed @ (Action::Send { .. } | Action::Who(_) | Action::History(_)) => {
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
            let names = page.map(|page| page.accounts.into_iter().map(|a| a.username).collect());
            Input::Accounts {
                result: names.map_err(|error| error.to_string()),
                more,
            }
        }
        Action::History(peer) => {
            let request = ListMessagesRequest {
                peer,
                page_size: HISTORY_SHOWN,
                ..ListMessagesRequest::default()
            };
            let page = client.list_messages(request).await;
            Input::History(
                page.map(|page| page.messages)
                    .map_err(|error| error.to_string()),
            )
        }
        Action::Send { to, body } => {
            let sent = client.send_message(&to, &body).await;
            let result = sent.map(|sent| sent.instant);
            let result = result.map_err(|error| error.to_string());
            Input::Sent { to, result }
        }
        Action::Print(_) | Action::Notice(_) | Action::Quit => return,
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

/// Feeds the subscription's events, for as long as the session lasts.
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

/// Lines of stdin, then the end.
struct Lines {
    receiver: mpsc::Receiver<String>,
    end_told: bool,
}

impl Lines {
    async fn recv(&mut self) -> Option<String> {
        self.receiver.recv().await
    }

    fn end_is_told(&self) -> bool {
        self.end_told
    }

    fn told(&mut self, line: Option<String>) -> Input {
        self.end_told = line.is_none();
        line.map_or(Input::NoMoreLines, Input::Line)
    }
}

/// Reads on a thread of its own, which nobody waits for: a terminal may never end.
fn read_lines() -> Lines {
    let (sender, receiver) = mpsc::channel(QUEUE);
    std::thread::spawn(move || {
        let mut stdin = std::io::stdin().lock();
        loop {
            let mut line = Vec::new();
            match stdin.read_until(b'\n', &mut line) {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
            let line = String::from_utf8_lossy(&line);
            let line = line.trim_end_matches('\n').trim_end_matches('\r');
            if sender.blocking_send(line.to_owned()).is_err() {
                return;
            }
        }
    });
    Lines {
        receiver,
        end_told: false,
    }
}
