//! Peer sessions: one session with each other replica, in which both sides send. The higher-numbered replica
//! dials and the lower-numbered accepts. While there is no session the lower-numbered one probes the other's
//! addresses, because a refused connection is evidence that the process is dead. An accepted connection proves
//! nothing; a hello does. If a higher-numbered replica is up and does not dial, it may lack the address, so the
//! lower-numbered one dials. The driver decides whether a session is used; a newer session replaces an older
//! one. Every connection opens with a handshake in which both sides prove that they have the peer secret.

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
use crate::clock;

pub(crate) use dial::{ask_lineage, dial};
#[cfg(feature = "bench")]
pub(crate) use frame::{from_frame, to_frame};
pub(crate) use join::{Joiner, ask_roster, is_led};
pub(crate) use listen::{Sources, serve};
pub(crate) use places::{Places, Source};
pub(crate) use snapshot::{INCOMING, Received, fetch, measure};
use tercet_store::roster::Member;

/// Frames that may wait on one session. Further frames are dropped: the core sends again what matters, and a
/// peer that is so slow soon leaves the view.
const QUEUE_MAX: usize = 1024;

/// Events of all sessions that may wait for the driver; with more, reading from the network pauses.
pub(crate) const EVENTS_MAX: usize = 1024;

/// An event on a peer session, for the driver.
pub(crate) enum LinkEvent {
    /// Hellos were exchanged.
    Up {
        session: u64,
        peer: Introduction,
        outgoing: Outgoing,
        /// Whether this replica dialled; then it also dials again.
        dialled: bool,
    },
    /// A message arrived on a session.
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
    /// The peer refuses a session and gives the reason.
    Unwanted { peer: ReplicaId, reason: String },
    /// A new connection was refused at every address of the peer; `told` means just now at the address that the
    /// peer gave in a session of this run.
    Refused { peer: ReplicaId, told: bool },
}

/// The first frame of a session.
#[derive(Debug, PartialEq)]
pub(crate) struct Introduction {
    pub(crate) hello: Hello,
    /// The sender's own addresses; empty where it does not give them.
    pub(crate) addresses: Member,
    /// The highest command version that the sender supports.
    pub(crate) command_version: u32,
    /// The sender's wall clock when it made the frame, microseconds since the Unix epoch; 0 where it does not
    /// give it.
    pub(crate) wall_us: i64,
}

/// Questions and answers about clocks, beside the messages of the core.
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

/// The sending end of one session; dropping it ends the session.
pub(crate) struct Outgoing {
    frames: mpsc::Sender<Frame>,
}

impl Outgoing {
    /// Queues a message. False when the queue was full and the message was dropped.
    pub(crate) fn send(&self, message: &Message) -> bool {
        self.frames.try_send(frame::to_frame(message)).is_ok()
    }

    pub(crate) fn send_clock(&self, word: ClockWord) {
        // A dropped question is asked again.
        let _ = self.frames.try_send(frame::clock_to_frame(word));
    }

    /// Sends the peer the reason of a refusal, and ends the session.
    pub(crate) fn refuse(self, reason: String) {
        // A peer that has gone needs no reason.
        let _ = self.frames.try_send(frame::refusal_to_frame(reason));
    }
}

/// The parts that all peer sessions share.
#[derive(Clone)]
pub(crate) struct LinkContext {
    pub(crate) id: ReplicaId,
    /// This replica's own addresses.
    pub(crate) own_addresses: Arc<Member>,
    /// The addresses of the other replicas, kept by the driver.
    pub(crate) places: watch::Receiver<Places>,
    /// The hello of this replica, kept by the driver.
    pub(crate) hello: watch::Receiver<Hello>,
    pub(crate) secret: Arc<str>,
    /// The highest command version that this replica supports.
    pub(crate) command_version: u32,
    pub(crate) events: mpsc::Sender<LinkEvent>,
}

impl LinkContext {
    /// Makes the first frame of a session.
    fn hello_frame(&self) -> Frame {
        let hello = self.hello.borrow();
        frame::hello_to_frame(
            &hello,
            &self.own_addresses,
            self.command_version,
            clock::wall_us(),
        )
    }

    /// Gives the identity of this replica for a handshake.
    fn identity(&self) -> Identity<'_> {
        Identity {
            id: self.id,
            cluster: self.hello.borrow().cluster,
            secret: &self.secret,
        }
    }
}

/// Numbers the sessions of this process, so that the driver can distinguish them.
fn next_session() -> u64 {
    use std::sync::atomic::{AtomicU64, Ordering};
    static SESSIONS: AtomicU64 = AtomicU64::new(1);
    SESSIONS.fetch_add(1, Ordering::Relaxed)
}

/// Runs an established session until it ends, and passes its events to the driver. Returns whether a frame
/// arrived: a peer that does not use the session sends none.
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
