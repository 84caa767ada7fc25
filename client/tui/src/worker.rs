//! Runs the chat: passes events to the model, carries its effects out, and draws it.
//!
//! The loop never waits for the network: requests are tasks, whose answers are events.

mod follow;
mod lists;
mod requests;
mod session;
mod tasks;

use std::io;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until};

use crate::accounts::{Accounts, Setup};
use crate::cache::Cache;
use crate::model::{Effect, Event, Model, Net};
use crate::terminal::{self, Terminal};
use session::Link;

/// The time for which changes are gathered before the cache is written.
const SAVE_DELAY: Duration = Duration::from_secs(2);
/// The shortest time between two frames that no key asked for.
const FRAME: Duration = Duration::from_millis(16);
/// The events of the network that are taken in before the next frame.
const EVENTS_MAX: usize = 512;

/// Runs the chat on the terminal until the person leaves, or a signal comes.
///
/// # Errors
/// When the terminal cannot be used, or is gone.
pub async fn run<A: Accounts>(accounts: A, mut setup: Setup) -> io::Result<()> {
    let mut terminal = Terminal::take_over()?;
    let mut model = Model::new(setup.settings.clone(), now_ms());
    let (columns, rows) = terminal.size()?;
    model.update(Event::Resize { columns, rows }, now_ms());
    let mut cache = None;
    if let (Some(root), Some((cluster, name))) = (&setup.caches, &setup.guess) {
        let found = Cache::of(root, cluster, name);
        found.restore(&mut model);
        cache = Some((cluster.clone(), found));
    }
    if setup.settings.mouse {
        terminal.mouse(true)?;
        model.has_mouse = true;
    }
    if !setup.complaint.is_empty() {
        model.update(
            Event::Net(Net::Done(Err(setup.complaint.clone()))),
            now_ms(),
        );
    }
    terminal.draw(&model)?;
    if let Some((_, cache)) = &cache {
        cache.restore_rest(&mut model);
    }

    let (nets, received) = mpsc::unbounded_channel();
    let link = Link::new(accounts, &setup, nets);
    link.start(model.me.clone());
    let notices = std::mem::replace(&mut setup.notices, mpsc::unbounded_channel().1);
    let mut chat = Chat {
        model,
        terminal,
        link,
        cache,
        root: setup.caches,
        stop: Stop::listen()?,
        save_at: None,
        frame_at: None,
        last_frame: Instant::now(),
    };
    let ended = chat.run(received, notices).await;
    chat.link.leave(chat.model.untold_markers()).await;
    ended
}

/// The signals that end the chat.
struct Stop {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Stop {
    fn listen() -> io::Result<Stop> {
        Ok(Stop {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    async fn received(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.hangup.recv() => {}
        }
    }
}

struct Chat<A: Accounts> {
    model: Model,
    terminal: Terminal,
    link: Link<A>,
    /// The cache of the account, with the id of its cluster.
    cache: Option<(String, Cache)>,
    root: Option<std::path::PathBuf>,
    stop: Stop,
    save_at: Option<Instant>,
    /// When the next frame is due; `None` if the screen is up to date.
    frame_at: Option<Instant>,
    last_frame: Instant,
}

/// A report of a task: an event for the model, or a change of the session.
pub(crate) enum Report {
    Net(Net),
    /// The session is of this cluster and account. It goes on after the cursor that the chat answers; 0 for none.
    Found {
        cluster_id: String,
        name: String,
        is_new: bool,
        go_on: oneshot::Sender<u64>,
    },
    /// The session was ended, and everything of it is to be removed.
    LoggedOut,
}

impl<A: Accounts> Chat<A> {
    async fn run(
        &mut self,
        mut received: mpsc::UnboundedReceiver<Report>,
        mut notices: mpsc::UnboundedReceiver<String>,
    ) -> io::Result<()> {
        loop {
            let wakes_at = self.model.wakes_at_ms().map(instant);
            tokio::select! {
                event = self.terminal.next() => {
                    let Some(event) = event else {
                        return Ok(());
                    };
                    self.frame_at = Some(Instant::now());
                    if self.take(event).await? {
                        return Ok(());
                    }
                }
                Some(report) = received.recv() => {
                    self.due();
                    let mut next = Some(report);
                    let mut count = 0;
                    while let Some(report) = next {
                        if self.report(report).await? {
                            return Ok(());
                        }
                        count += 1;
                        next = if count < EVENTS_MAX { received.try_recv().ok() } else { None };
                    }
                }
                Some(text) = notices.recv() => {
                    self.due();
                    self.take(Event::Net(Net::Done(Ok(text)))).await?;
                }
                () = until(wakes_at) => {
                    self.due();
                    self.take(Event::Tick).await?;
                }
                () = until(self.save_at) => self.save().await,
                () = until(self.frame_at) => {}
                () = self.stop.received() => return Ok(()),
                () = terminal::panicked() => {
                    return Err(io::Error::other("a part of the chat has failed: its message is above"));
                }
            }
            if self.frame_at.is_some_and(|at| at <= Instant::now()) {
                self.take(Event::Frame).await?;
                self.draw()?;
                self.frame_at = None;
                self.last_frame = Instant::now();
            }
        }
    }

    /// Draws the model in the size that the terminal has now: its event may come later than the new size.
    fn draw(&mut self) -> io::Result<()> {
        let (columns, rows) = self.terminal.size()?;
        if (columns, rows) != (self.model.columns, self.model.rows) {
            self.model.update(Event::Resize { columns, rows }, now_ms());
        }
        self.terminal.draw(&self.model)
    }

    /// Asks for a frame, not too soon after the last one.
    fn due(&mut self) {
        let at = self.last_frame + FRAME;
        self.frame_at = Some(self.frame_at.map_or(at, |due| due.min(at)));
    }

    async fn report(&mut self, report: Report) -> io::Result<bool> {
        match report {
            Report::Net(net) => self.take(Event::Net(net)).await,
            Report::Found {
                cluster_id,
                name,
                is_new,
                go_on,
            } => {
                self.use_cache(&cluster_id, &name);
                let is_over = self.take(Event::Net(Net::LoggedIn { name, is_new })).await;
                let _ = go_on.send(self.model.cursor); // the task may have ended
                is_over
            }
            Report::LoggedOut => {
                if let Some((_, cache)) = &mut self.cache
                    && let Err(error) = cache.wipe()
                {
                    self.model.update(
                        Event::Net(Net::Done(Err(format!("remove the cache: {error}")))),
                        now_ms(),
                    );
                    return Ok(false);
                }
                self.cache = None;
                Ok(true)
            }
        }
    }

    /// Uses the cache of this account of this cluster. What was drawn of another one is dropped: the cluster at these
    /// addresses is another now.
    fn use_cache(&mut self, cluster_id: &str, name: &str) {
        let is_same = self
            .cache
            .as_ref()
            .is_some_and(|(cluster, _)| cluster == cluster_id)
            && self.model.me.eq_ignore_ascii_case(name);
        if is_same {
            return;
        }
        if let Some((cluster, mut other)) = self.cache.take()
            && cluster != cluster_id
        {
            // It is only a copy of what the other cluster had.
            let _ = other.wipe();
        }
        let (columns, rows) = (self.model.columns, self.model.rows);
        let mut model = Model::new(self.model.settings.clone(), now_ms());
        model.mode = self.model.mode.clone();
        model.connection = self.model.connection.clone();
        (model.columns, model.rows) = (columns, rows);
        model.has_mouse = self.model.has_mouse;
        if let Some(root) = &self.root {
            let cache = Cache::of(root, cluster_id, name);
            cache.restore(&mut model);
            cache.restore_rest(&mut model);
            self.cache = Some((cluster_id.to_owned(), cache));
        }
        self.model = model;
    }

    /// Passes an event to the model, and carries its effects out. True if the person leaves.
    async fn take(&mut self, event: Event) -> io::Result<bool> {
        let mut events = vec![event];
        while let Some(event) = events.pop() {
            for effect in self.model.update(event, now_ms()) {
                match effect {
                    Effect::Quit => return Ok(true),
                    Effect::Save => {
                        self.save_at.get_or_insert(Instant::now() + SAVE_DELAY);
                    }
                    Effect::Suspend => self.terminal.suspend()?,
                    Effect::Repaint => self.terminal.repaint(),
                    Effect::Bell => self.terminal.bell()?,
                    Effect::Copy(text) => self.terminal.copy(&text)?,
                    Effect::OpenLink(link) => {
                        let text = self.terminal.open_link(&link)?;
                        events.push(Event::Net(Net::Done(Ok(text))));
                    }
                    Effect::Notify { title, body } => {
                        let how = self.model.settings.notify;
                        self.terminal.notify(how, &title, &body)?;
                    }
                    Effect::Mouse(on) => self.terminal.mouse(on)?,
                    Effect::OpenEditor(text) => {
                        let edited = self.terminal.edit(&text).await;
                        // Ctrl-C in the editor was not meant for the chat.
                        self.stop = Stop::listen()?;
                        let (columns, rows) = self.terminal.size()?;
                        self.model.update(Event::Resize { columns, rows }, now_ms());
                        events.push(Event::Edited(edited.map_err(|error| error.to_string())));
                    }
                    request => self.link.request(request),
                }
            }
        }
        Ok(false)
    }

    async fn save(&mut self) {
        self.save_at = None;
        let Some((_, cache)) = &mut self.cache else {
            return;
        };
        let changes = cache.changes(&self.model);
        if changes.is_empty() {
            return;
        }
        let written = tokio::task::spawn_blocking(|| changes.write()).await;
        if let Ok(Err(error)) = written {
            let text = format!("the cache cannot be written: {error}");
            self.model
                .update(Event::Net(Net::Done(Err(text))), now_ms());
            self.cache = None;
        }
    }
}

/// Writes the cache however the chat ends, but not after a panic: the model may be in between.
impl<A: Accounts> Drop for Chat<A> {
    fn drop(&mut self) {
        if let Some((_, cache)) = &mut self.cache
            && !std::thread::panicking()
        {
            // Nobody is left who could be told.
            let _ = cache.changes(&self.model).write();
        }
    }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

fn now_ms() -> i64 {
    let passed = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(passed.as_millis()).unwrap_or(i64::MAX)
}

fn instant(at_ms: i64) -> Instant {
    let left = u64::try_from(at_ms - now_ms()).unwrap_or(0);
    Instant::now() + Duration::from_millis(left)
}
