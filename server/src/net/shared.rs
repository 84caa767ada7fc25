//! The state of one connection, shared with its calls: records whether it sent a request and whether it showed a
//! session, and closes it from outside.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering},
    },
    task::{Context, Waker},
    time::{Duration, Instant},
};

use tercet_types::fair::Origin;
use tokio::sync::Semaphore;

use super::held::{Budget, Held, Process};

/// Bytes of the preface that HTTP/2 begins with.
const PREFACE_BYTES: u64 = 24;

/// The time that a connection may take to ask for something: of HTTP/2 to send its first bytes, of HTTP/1 to get the
/// first answer. Later the pings of HTTP/2 find out whether somebody is there.
const SILENT_MAX: Duration = Duration::from_secs(10);

/// The time for which a connection of HTTP/1 may be open after its last call. HTTP/1 has no pings.
const IDLE_MAX: Duration = Duration::from_secs(60);

/// Seconds that a part of an answer may wait to be read.
const UNREAD_SECONDS_MAX: u64 = 30;

/// Seconds that are told apart of what waits to be read; a connection is looked at each second, so nothing is
/// older.
const UNREAD_SECONDS: usize = 64;

/// Pages of one connection that are read from the store at once; more wait. Pages that wait together are read in one
/// transaction, so fewer would make each of them cost more.
const PAGES_MAX: usize = 8;

/// The state of a connection, shared with its calls.
pub(super) struct Shared {
    pub(super) id: u64,
    pub(super) origin: Origin,
    budget: Arc<Budget>,
    began: Instant,
    is_http2: AtomicBool,
    received_bytes: AtomicU64,
    is_answered: AtomicBool,
    /// Whether a call has shown a valid session.
    is_proven: AtomicBool,
    /// Calls under way.
    calls: AtomicUsize,
    /// When the last call ended, milliseconds since `began`.
    called_at: AtomicU64,
    is_closing: AtomicBool,
    /// The wakers of the reading and the writing task.
    wakers: Mutex<[Option<Waker>; 2]>,
    /// Parts of answers that wait to be read, by the second since `began` in which each began to wait.
    unread: [AtomicU32; UNREAD_SECONDS],
    pages: Arc<Semaphore>,
}

impl Shared {
    pub(super) fn new(id: u64, origin: Origin, process: Arc<Process>) -> Shared {
        Shared {
            id,
            origin,
            budget: Arc::new(Budget::new(process)),
            began: Instant::now(),
            is_http2: AtomicBool::new(false),
            received_bytes: AtomicU64::new(0),
            is_answered: AtomicBool::new(false),
            is_proven: AtomicBool::new(false),
            calls: AtomicUsize::new(0),
            called_at: AtomicU64::new(0),
            is_closing: AtomicBool::new(false),
            wakers: Mutex::default(),
            unread: [const { AtomicU32::new(0) }; UNREAD_SECONDS],
            pages: Arc::new(Semaphore::new(PAGES_MAX)),
        }
    }

    /// Milliseconds since the connection began.
    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Closes the connection, whatever it is doing.
    pub(super) fn close(&self) {
        self.is_closing.store(true, Ordering::Release);
        let wakers = std::mem::take(&mut *self.wakers());
        wakers.into_iter().flatten().for_each(Waker::wake);
    }

    fn wakers(&self) -> MutexGuard<'_, [Option<Waker>; 2]> {
        self.wakers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_closing(&self) -> bool {
        self.is_closing.load(Ordering::Acquire)
    }

    /// Registers to be woken when the connection is closed. True when it is already closed.
    pub(super) fn park(&self, which: usize, context: &Context<'_>) -> bool {
        let mut wakers = self.wakers();
        match &mut wakers[which] {
            Some(waker) if waker.will_wake(context.waker()) => {}
            slot => *slot = Some(context.waker().clone()),
        }
        drop(wakers);
        self.is_closing()
    }

    /// Tells whether the connection sent a request.
    fn has_asked(&self) -> bool {
        let has_answer = self.is_answered.load(Ordering::Relaxed);
        match self.is_http2.load(Ordering::Relaxed) {
            true => self.received_bytes.load(Ordering::Relaxed) >= PREFACE_BYTES,
            false => has_answer,
        }
    }

    /// Which connection is given up first when there are too many: the lowest. `None` for one that has
    /// shown a session and has calls under way.
    pub(super) fn worth(&self) -> Option<Worth> {
        let is_proven = self.is_proven.load(Ordering::Relaxed);
        let has_calls = self.calls.load(Ordering::Relaxed) > 0;
        if self.is_closing() || (is_proven && has_calls) {
            return None;
        }
        let called_at = Duration::from_millis(self.called_at.load(Ordering::Relaxed));
        Some(Worth {
            is_proven,
            has_calls,
            has_asked: self.has_asked(),
            called_at: self.began + called_at,
        })
    }

    /// Bytes that are held for the connection, unless it is being closed.
    pub(super) fn held_bytes(&self) -> Option<usize> {
        (!self.is_closing()).then(|| self.budget.held_bytes())
    }

    /// The reason why the connection should end now, if there is one. The sweep calls it once a second.
    pub(super) fn overdue(&self) -> Option<&'static str> {
        if self.is_closing() {
            return None;
        }
        let now = self.now();
        let since = |at: u64| Duration::from_millis(now.saturating_sub(at));
        if !self.has_asked() {
            return (since(0) > SILENT_MAX).then_some("it asked for nothing");
        }
        if self.has_unread(now / 1_000) {
            return Some("an answer was not read");
        }
        let pings = self.is_http2.load(Ordering::Relaxed);
        let is_idle = !pings && self.calls.load(Ordering::Relaxed) == 0;
        let called_at = self.called_at.load(Ordering::Relaxed);
        (is_idle && since(called_at) > IDLE_MAX).then_some("it was idle")
    }

    /// Whether a part of an answer waits for longer than it may. `now` in seconds.
    fn has_unread(&self, now: u64) -> bool {
        (UNREAD_SECONDS_MAX + 1..UNREAD_SECONDS as u64 - 1).any(|age| {
            let second = now.checked_sub(age);
            second.is_some_and(|second| self.unread(second).load(Ordering::Relaxed) > 0)
        })
    }

    fn unread(&self, second: u64) -> &AtomicU32 {
        &self.unread[(second % UNREAD_SECONDS as u64) as usize]
    }

    /// Notes that a part of an answer was written.
    pub(super) fn answered(&self) {
        self.is_answered.store(true, Ordering::Relaxed);
    }

    /// Notes arrived bytes.
    pub(super) fn received(&self, data: &[u8]) {
        let before = self.received_bytes.load(Ordering::Relaxed);
        if before >= PREFACE_BYTES {
            return;
        }
        // HTTP/2 begins with `PRI`; no method that is served begins with these letters.
        if before < 2 && data.get(1 - before as usize) == Some(&b'R') {
            self.is_http2.store(true, Ordering::Relaxed);
        }
        self.received_bytes
            .store(before + data.len() as u64, Ordering::Relaxed);
    }
}

/// The worth of a connection when there are too many; the lower one is closed first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Worth {
    is_proven: bool,
    has_calls: bool,
    has_asked: bool,
    /// When its last call ended; if it had none, when it began.
    called_at: Instant,
}

/// The connection as its requests see it.
#[derive(Clone)]
pub(crate) struct Remote(Arc<Shared>);

impl Remote {
    pub(super) fn of(shared: &Arc<Shared>) -> Remote {
        Remote(Arc::clone(shared))
    }

    /// The network that the connection comes from.
    pub(crate) fn origin(&self) -> Origin {
        self.0.origin
    }

    /// Notes that the other end has shown a valid session.
    pub(crate) fn is_proven(&self) {
        self.0.is_proven.store(true, Ordering::Relaxed);
    }

    /// Notes that a call is under way, until the guard is dropped.
    pub(crate) fn call(&self) -> CallGuard {
        self.0.calls.fetch_add(1, Ordering::Relaxed);
        CallGuard(Arc::clone(&self.0))
    }
}

/// A call under way.
pub(crate) struct CallGuard(Arc<Shared>);

impl CallGuard {
    /// A place for bytes that are held for the call.
    pub(crate) fn holds(&self) -> Held {
        Held::nothing(Arc::clone(&self.0.budget))
    }

    /// Whether a call of the connection has shown a good session.
    pub(crate) fn is_proven(&self) -> bool {
        self.0.is_proven.load(Ordering::Relaxed)
    }

    /// The permits for pages of the connection.
    pub(crate) fn pages(&self) -> Arc<Semaphore> {
        Arc::clone(&self.0.pages)
    }

    /// Notes that a part of an answer waits to be read, until the guard is dropped.
    pub(crate) fn unread(&self) -> UnreadGuard {
        let second = self.0.now() / 1_000;
        self.0.unread(second).fetch_add(1, Ordering::Relaxed);
        let shared = Arc::clone(&self.0);
        UnreadGuard { shared, second }
    }
}

impl Drop for CallGuard {
    fn drop(&mut self) {
        let now = self.0.now();
        self.0.called_at.store(now, Ordering::Relaxed);
        self.0.calls.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A part of an answer that waits to be read.
pub(crate) struct UnreadGuard {
    shared: Arc<Shared>,
    second: u64,
}

impl Drop for UnreadGuard {
    fn drop(&mut self) {
        self.shared
            .unread(self.second)
            .fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

    #[test]
    fn http2_has_asked_with_its_preface_however_it_comes() {
        for part in 1..PREFACE.len() {
            let shared = Shared::new(1, Origin::UNKNOWN, Arc::default());
            for data in PREFACE.chunks(part) {
                assert!(!shared.has_asked());
                shared.received(data);
            }
            assert!(shared.has_asked());
        }
    }

    /// A connection that began so long ago and was answered once.
    fn answered(began: Duration) -> Arc<Shared> {
        let mut shared = Shared::new(1, Origin::UNKNOWN, Arc::default());
        shared.began -= began;
        shared.is_answered.store(true, Ordering::Relaxed);
        Arc::new(shared)
    }

    #[test]
    fn http1_without_calls_ends_and_http2_answers_pings() {
        let shared = answered(IDLE_MAX + Duration::from_secs(1));
        let call = Remote::of(&shared).call();
        assert_eq!(shared.overdue(), None);
        drop(call);
        // Its last call has ended just now.
        assert_eq!(shared.overdue(), None);
        shared.called_at.store(0, Ordering::Relaxed);
        assert_eq!(shared.overdue(), Some("it was idle"));
        shared.received(PREFACE);
        assert_eq!(shared.overdue(), None);
    }

    #[test]
    fn answer_that_nobody_reads_ends_its_connection() {
        let began = Duration::from_secs(UNREAD_SECONDS_MAX + 20);
        let shared = answered(began);
        shared.received(PREFACE);
        let call = Remote::of(&shared).call();
        let waits = call.unread();
        assert_eq!(shared.overdue(), None, "it was given a moment ago");
        let early = shared.unread(5);
        early.fetch_add(1, Ordering::Relaxed);
        assert_eq!(shared.overdue(), Some("an answer was not read"));
        early.fetch_sub(1, Ordering::Relaxed);
        drop(waits);
        assert_eq!(shared.overdue(), None);
    }

    #[test]
    fn http1_has_asked_when_it_is_answered() {
        let shared = Shared::new(1, Origin::UNKNOWN, Arc::default());
        shared.received(b"POST / HTTP/1.1\r\nhost: somewhere\r\n");
        assert!(!shared.has_asked());
        shared.is_answered.store(true, Ordering::Relaxed);
        assert!(shared.has_asked());
    }
}
