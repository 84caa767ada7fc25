//! Links to the other replicas: one session with each, in which both sides speak. The
//! higher-numbered dials; the lower-numbered accepts, and while there is no session tries the
//! other's address too, to see whether a connection is refused: evidence that its process is
//! dead. An accepted connection proves nothing, a hello does. A higher-numbered one that is there
//! and does not dial may not know the lower-numbered: then that one dials. Whether a session is of
//! use is for the driver to say; the newest takes the place of an older one. Every connection opens
//! with a handshake in which both sides prove that they have the peer secret.

mod connection;
mod dial;
mod frame;
mod handshake;
mod join;
mod listen;
mod places;
mod snapshot;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use tercet_core::{
    id::{ReplicaId, Time},
    message::{Hello, Message},
};
use tercet_proto::peer::Frame;
use tokio::sync::{mpsc, watch};

use self::handshake::Identity;
use crate::{clock, roster::Member};

pub(crate) use dial::{ask_lineage, dial};
#[cfg(feature = "bench")]
pub(crate) use frame::{from_frame, to_frame};
pub(crate) use join::{Joiner, ask_roster, is_led};
pub(crate) use listen::{Sources, serve};
pub(crate) use places::{Places, Source};
pub(crate) use snapshot::{INCOMING, Received, fetch, measure};

/// Frames waiting to be sent on one session. What is over is dropped: the core sends again what
/// matters, and a peer so slow is soon out of the view.
const QUEUE_MAX: usize = 1024;

/// Events of all sessions waiting for the driver; beyond that the network waits.
pub(crate) const EVENTS_MAX: usize = 1024;

/// What happens on the links, for the driver.
pub(crate) enum LinkEvent {
    /// Hellos were exchanged.
    Up {
        session: u64,
        peer: Introduction,
        outgoing: Outgoing,
        /// Whether this replica dialled: then it also dials again.
        dialled: bool,
    },
    /// A message on a session.
    Received {
        peer: ReplicaId,
        session: u64,
        message: Message,
    },
    /// A question or an answer about clocks.
    Clock {
        peer: ReplicaId,
        session: u64,
        word: ClockWord,
    },
    /// A session ended.
    Down { peer: ReplicaId, session: u64 },
    /// The peer does not want a session, and says why.
    Unwanted { peer: ReplicaId, reason: String },
    /// A new connection was refused, wherever the peer may be reached; `told`: just now at the address that it
    /// told in a session of this run.
    Refused { peer: ReplicaId, told: bool },
}

/// What a replica says first in a session.
#[derive(Debug, PartialEq)]
pub(crate) struct Introduction {
    pub(crate) hello: Hello,
    /// Where it is reached; empty where it does not say it.
    pub(crate) at: Member,
    /// The highest version of commands that it knows.
    pub(crate) command_version: u32,
    /// Its wall clock when it said so, microseconds since the Unix epoch; 0 where it does not say it.
    pub(crate) wall_us: i64,
}

/// What replicas say about their clocks, beside the messages of the core.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClockWord {
    Question {
        /// The asker's steady clock.
        asked_at: Time,
    },
    Answer {
        asked_at: Time,
        /// Microseconds since the Unix epoch.
        wall_us: i64,
    },
}

/// The sending end of one session; dropped, it ends the session.
pub(crate) struct Outgoing {
    frames: mpsc::Sender<Frame>,
}

impl Outgoing {
    /// Queues a message. False when it was dropped.
    pub(crate) fn send(&self, message: &Message) -> bool {
        self.frames.try_send(frame::to_frame(message)).is_ok()
    }

    pub(crate) fn tell_clock(&self, word: ClockWord) {
        // One that is dropped is asked for again.
        let _ = self.frames.try_send(frame::clock_to_frame(word));
    }

    /// Tells the peer why there is no session, and ends it.
    pub(crate) fn refuse(self, reason: String) {
        // A peer that has gone needs no reason.
        let _ = self.frames.try_send(frame::refusal_to_frame(reason));
    }
}

/// What the links share.
#[derive(Clone)]
pub(crate) struct LinkContext {
    pub(crate) id: ReplicaId,
    /// Where this replica is reached.
    pub(crate) me: Arc<Member>,
    /// Where the others may be reached, as the driver keeps it.
    pub(crate) places: watch::Receiver<Places>,
    /// What this replica says first, as the driver keeps it.
    pub(crate) hello: watch::Receiver<Hello>,
    pub(crate) secret: Arc<str>,
    /// The highest version of commands that this replica knows.
    pub(crate) command_version: u32,
    pub(crate) events: mpsc::Sender<LinkEvent>,
}

impl LinkContext {
    /// The first frame of a session.
    fn hello_frame(&self) -> Frame {
        let hello = self.hello.borrow();
        frame::hello_to_frame(&hello, &self.me, self.command_version, clock::wall_us())
    }

    /// What this replica says of itself in a handshake.
    fn identity(&self) -> Identity<'_> {
        Identity {
            id: self.id,
            cluster: self.hello.borrow().cluster,
            secret: &self.secret,
        }
    }
}

/// Numbers the sessions of this process, so that the driver can tell them apart.
fn next_session() -> u64 {
    use std::sync::atomic::{AtomicU64, Ordering};
    static SESSIONS: AtomicU64 = AtomicU64::new(1);
    SESSIONS.fetch_add(1, Ordering::Relaxed)
}

/// Runs an established session until it ends: tells the driver, and hands it what arrives. Gives
/// whether anything arrived: nothing does from a peer that has no use for the session.
async fn run_session<S>(
    context: &LinkContext,
    introduction: Introduction,
    outgoing: Outgoing,
    dialled: bool,
    mut incoming: S,
) -> bool
where
    S: tokio_stream::Stream<Item = Result<Frame, tonic::Status>> + Unpin,
{
    use tokio_stream::StreamExt as _;

    let session = next_session();
    let peer = introduction.hello.id;
    let up = LinkEvent::Up {
        session,
        peer: introduction,
        outgoing,
        dialled,
    };
    let mut heard = false;
    if context.events.send(up).await.is_err() {
        return heard;
    }
    while let Some(frame) = incoming.next().await {
        if let Ok(frame) = &frame
            && let Some(word) = frame::clock_from_frame(frame)
        {
            heard = true;
            let event = LinkEvent::Clock {
                peer,
                session,
                word,
            };
            if context.events.send(event).await.is_err() {
                return heard;
            }
            continue;
        }
        let message = match frame {
            Ok(frame) => match frame::refusal_from_frame(&frame) {
                Some(reason) => {
                    let reason = reason.to_owned();
                    let unwanted = LinkEvent::Unwanted { peer, reason };
                    let _ = context.events.send(unwanted).await;
                    break;
                }
                None => frame::from_frame(frame),
            },
            Err(status) => {
                tracing::debug!(%peer, %status, "session ended");
                break;
            }
        };
        heard = true;
        let event = match message {
            Ok(message) => LinkEvent::Received {
                peer,
                session,
                message,
            },
            Err(error) => {
                tracing::warn!(%peer, %error, "malformed message: session closed");
                break;
            }
        };
        if context.events.send(event).await.is_err() {
            return heard;
        }
    }
    let _ = context.events.send(LinkEvent::Down { peer, session }).await;
    heard
}
