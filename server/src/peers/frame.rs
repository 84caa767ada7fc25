//! The wire form of the core's messages, one to one. Malformed bytes from a network never panic; they end the
//! session.

use tercet_core::{
    config::LoggedConfig,
    id::{ClusterId, Incarnation, Lsn, ReplicaId, StoreId, Time},
    log::{Entry, LastEntry},
    message::{Acknowledged, Append, Hello, Message, VoteState},
};
use tercet_proto::peer::{self as wire, frame};
use tercet_store::{
    roster::Member,
    wire::{
        Malformed, config_from_wire, config_to_wire, dead_from_wire, dead_to_wire, entry_from_wire,
        entry_to_wire, epoch_from_wire, epoch_to_wire, id_from_wire, id_to_wire, members_from_wire,
        members_to_wire,
    },
};
use tercet_types::address::is_address;

use super::{ClockWord, Introduction};

pub(super) fn hello_to_frame(
    hello: &Hello,
    own_addresses: &Member,
    command_version: u32,
    wall_us: i64,
) -> wire::Frame {
    framed(frame::Message::Hello(wire::Hello {
        replica_id: hello.id.0,
        store_id: id_to_wire(hello.store.0),
        incarnation: hello.incarnation.0,
        cluster_id: hello
            .cluster
            .map(|cluster| id_to_wire(cluster.0))
            .unwrap_or_default(),
        active: hello.active,
        address: own_addresses.address.clone(),
        peer_address: own_addresses.peer_address.clone(),
        dead: dead_to_wire(&hello.dead),
        dead_by: Some(epoch_to_wire(hello.dead_by)),
        acknowledged_lsn: hello.acknowledged.entry.lsn.0,
        acknowledged_epoch: Some(epoch_to_wire(hello.acknowledged.entry.epoch)),
        acknowledged_by: members_to_wire(&hello.acknowledged.stores),
        command_version,
        wall_clock_us: wall_us,
    }))
}

/// Decodes a hello with the fields that are outside the core.
pub(super) fn hello_from_frame(frame: wire::Frame) -> Result<Introduction, Malformed> {
    let Some(frame::Message::Hello(hello)) = frame.message else {
        return Err(Malformed("the first frame is no Hello"));
    };
    if hello.replica_id == 0 {
        return Err(Malformed("Hello.replica_id is 0"));
    }
    let addresses = [&hello.address, &hello.peer_address];
    if addresses
        .iter()
        .any(|text| !text.is_empty() && !is_address(text))
    {
        return Err(Malformed("an address in Hello is not HOST:PORT"));
    }
    let at = Member {
        address: hello.address,
        peer_address: hello.peer_address,
    };
    let (command_version, wall_us) = (hello.command_version, hello.wall_clock_us);
    let hello = Hello {
        id: ReplicaId(hello.replica_id),
        store: StoreId(id_from_wire(
            &hello.store_id,
            "Hello.store_id is not 16 bytes",
        )?),
        incarnation: Incarnation(hello.incarnation),
        cluster: match hello.cluster_id.is_empty() {
            true => None,
            false => Some(ClusterId(id_from_wire(
                &hello.cluster_id,
                "Hello.cluster_id is not 16 bytes",
            )?)),
        },
        active: hello.active,
        dead: dead_from_wire(&hello.dead)?,
        dead_by: epoch_from_wire(hello.dead_by),
        acknowledged: Acknowledged {
            entry: LastEntry {
                epoch: epoch_from_wire(hello.acknowledged_epoch),
                lsn: Lsn(hello.acknowledged_lsn),
            },
            stores: members_from_wire(&hello.acknowledged_by)?,
        },
    };
    Ok(Introduction {
        hello,
        addresses: at,
        command_version,
        wall_us,
    })
}

/// Bytes of a refusal's reason that are shown.
const REASON_BYTES_MAX: usize = 1_024;

/// Encodes the reason why a session is refused.
pub(super) fn refusal_to_frame(reason: String) -> wire::Frame {
    framed(frame::Message::Refused(wire::Refused { reason }))
}

/// Decodes a refusal's reason, if the frame is one; cuts it where it is too long.
pub(super) fn refusal_from_frame(frame: &wire::Frame) -> Option<&str> {
    match &frame.message {
        Some(frame::Message::Refused(refused)) => {
            let end = refused.reason.floor_char_boundary(REASON_BYTES_MAX);
            Some(&refused.reason[..end])
        }
        _ => None,
    }
}

pub(super) fn clock_to_frame(word: ClockWord) -> wire::Frame {
    framed(match word {
        ClockWord::Question { asked_at } => {
            let asked_at = asked_at.0;
            frame::Message::ClockQuestion(wire::ClockQuestion { asked_at })
        }
        ClockWord::Answer { asked_at, wall_us } => frame::Message::ClockAnswer(wire::ClockAnswer {
            asked_at: asked_at.0,
            wall_clock_us: wall_us,
        }),
    })
}

/// Decodes a question or an answer about clocks, if the frame is one.
pub(super) fn clock_from_frame(frame: &wire::Frame) -> Option<ClockWord> {
    match &frame.message {
        Some(frame::Message::ClockQuestion(question)) => Some(ClockWord::Question {
            asked_at: Time(question.asked_at),
        }),
        Some(frame::Message::ClockAnswer(answer)) => Some(ClockWord::Answer {
            asked_at: Time(answer.asked_at),
            wall_us: answer.wall_clock_us,
        }),
        _ => None,
    }
}

fn framed(message: frame::Message) -> wire::Frame {
    wire::Frame {
        message: Some(message),
    }
}

pub(crate) fn to_frame(message: &Message) -> wire::Frame {
    framed(match message {
        Message::Ping { promised, clock } => frame::Message::Ping(wire::Ping {
            promised: Some(epoch_to_wire(*promised)),
            clock: clock.0,
        }),
        Message::Append(append) => frame::Message::Append(append_to_wire(append)),
        Message::Appended {
            epoch,
            matched,
            applied,
            sent_at,
            nonce,
            active,
            unconfirmed,
            clock,
        } => frame::Message::Appended(wire::Appended {
            epoch: Some(epoch_to_wire(*epoch)),
            matched: matched.0,
            applied: applied.0,
            sent_at: sent_at.0,
            nonce: *nonce,
            active: *active,
            unconfirmed: *unconfirmed,
            clock: clock.0,
        }),
        Message::AppendMismatch {
            epoch,
            retry_from,
            sent_at,
            nonce,
        } => frame::Message::AppendMismatch(wire::AppendMismatch {
            epoch: Some(epoch_to_wire(*epoch)),
            retry_from: retry_from.0,
            sent_at: sent_at.0,
            nonce: *nonce,
        }),
        Message::SnapshotNeeded { epoch, lsn_min } => {
            frame::Message::SnapshotNeeded(wire::SnapshotNeeded {
                epoch: Some(epoch_to_wire(*epoch)),
                lsn_min: lsn_min.0,
            })
        }
        Message::Fenced { promised } => frame::Message::Fenced(wire::Fenced {
            promised: Some(epoch_to_wire(*promised)),
        }),
        Message::PreVote { round } => frame::Message::PreVote(wire::PreVote { round: *round }),
        Message::PreVoteReply {
            round,
            promised,
            hears,
            vote_state,
        } => frame::Message::PreVoteReply(wire::PreVoteReply {
            round: *round,
            promised: Some(epoch_to_wire(*promised)),
            vote_state: Some(vote_state_to_wire(vote_state)),
            leader_id: hears.map_or(0, |id| id.0),
        }),
        Message::Prepare {
            epoch,
            transferred_from,
        } => frame::Message::Prepare(wire::Prepare {
            epoch: Some(epoch_to_wire(*epoch)),
            transferred_from: transferred_from.map(epoch_to_wire),
        }),
        Message::Promised { epoch, vote_state } => frame::Message::Promised(wire::Promised {
            epoch: Some(epoch_to_wire(*epoch)),
            vote_state: Some(vote_state_to_wire(vote_state)),
        }),
        Message::Vetoed { epoch } => frame::Message::Vetoed(wire::Vetoed {
            epoch: Some(epoch_to_wire(*epoch)),
        }),
        Message::Pull { epoch, from } => frame::Message::Pull(wire::Pull {
            epoch: Some(epoch_to_wire(*epoch)),
            from: from.0,
        }),
        Message::Pulled {
            epoch,
            from,
            entries,
        } => frame::Message::Pulled(wire::Pulled {
            epoch: Some(epoch_to_wire(*epoch)),
            from: from.0,
            entries: entries.iter().map(entry_to_wire).collect(),
        }),
        Message::LeadershipTransfer { epoch } => {
            frame::Message::LeadershipTransfer(wire::LeadershipTransfer {
                epoch: Some(epoch_to_wire(*epoch)),
            })
        }
        Message::Nominate { epoch } => frame::Message::Nominate(wire::Nominate {
            epoch: Some(epoch_to_wire(*epoch)),
        }),
        Message::Promising { epoch } => frame::Message::Promising(wire::Promising {
            epoch: Some(epoch_to_wire(*epoch)),
        }),
        Message::Excused { epoch } => frame::Message::Excused(wire::Excused {
            epoch: Some(epoch_to_wire(*epoch)),
        }),
        Message::Resigned { epoch } => frame::Message::Resigned(wire::Resigned {
            epoch: Some(epoch_to_wire(*epoch)),
        }),
        Message::Leave => frame::Message::Leave(wire::Leave {}),
    })
}

pub(crate) fn from_frame(frame: wire::Frame) -> Result<Message, Malformed> {
    let message = frame.message.ok_or(Malformed("Frame.message is absent"))?;
    Ok(match message {
        frame::Message::Hello(_) => return Err(Malformed("a second Hello")),
        frame::Message::Ping(ping) => Message::Ping {
            promised: epoch_from_wire(ping.promised),
            clock: Time(ping.clock),
        },
        frame::Message::Append(append) => Message::Append(append_from_wire(append)?),
        frame::Message::Appended(appended) => Message::Appended {
            epoch: epoch_from_wire(appended.epoch),
            matched: Lsn(appended.matched),
            applied: Lsn(appended.applied),
            sent_at: Time(appended.sent_at),
            nonce: appended.nonce,
            active: appended.active,
            unconfirmed: appended.unconfirmed,
            clock: Time(appended.clock),
        },
        frame::Message::AppendMismatch(mismatch) => Message::AppendMismatch {
            epoch: epoch_from_wire(mismatch.epoch),
            retry_from: Lsn(mismatch.retry_from),
            sent_at: Time(mismatch.sent_at),
            nonce: mismatch.nonce,
        },
        frame::Message::SnapshotNeeded(needed) => Message::SnapshotNeeded {
            epoch: epoch_from_wire(needed.epoch),
            lsn_min: Lsn(needed.lsn_min),
        },
        frame::Message::Fenced(fenced) => Message::Fenced {
            promised: epoch_from_wire(fenced.promised),
        },
        frame::Message::PreVote(pre_vote) => Message::PreVote {
            round: pre_vote.round,
        },
        frame::Message::PreVoteReply(pre_vote_reply) => Message::PreVoteReply {
            round: pre_vote_reply.round,
            promised: epoch_from_wire(pre_vote_reply.promised),
            hears: (pre_vote_reply.leader_id != 0).then_some(ReplicaId(pre_vote_reply.leader_id)),
            vote_state: vote_state_from_wire(pre_vote_reply.vote_state)?,
        },
        frame::Message::Prepare(prepare) => Message::Prepare {
            epoch: epoch_from_wire(prepare.epoch),
            transferred_from: prepare
                .transferred_from
                .map(|epoch| epoch_from_wire(Some(epoch))),
        },
        frame::Message::Promised(promised) => Message::Promised {
            epoch: epoch_from_wire(promised.epoch),
            vote_state: vote_state_from_wire(promised.vote_state)?,
        },
        frame::Message::Vetoed(vetoed) => Message::Vetoed {
            epoch: epoch_from_wire(vetoed.epoch),
        },
        frame::Message::Pull(pull) => Message::Pull {
            epoch: epoch_from_wire(pull.epoch),
            from: Lsn(pull.from),
        },
        frame::Message::Pulled(pulled) => Message::Pulled {
            epoch: epoch_from_wire(pulled.epoch),
            from: Lsn(pulled.from),
            entries: entries_from_wire(pulled.entries)?,
        },
        frame::Message::LeadershipTransfer(transfer) => Message::LeadershipTransfer {
            epoch: epoch_from_wire(transfer.epoch),
        },
        frame::Message::Nominate(nominate) => Message::Nominate {
            epoch: epoch_from_wire(nominate.epoch),
        },
        frame::Message::Promising(promising) => Message::Promising {
            epoch: epoch_from_wire(promising.epoch),
        },
        frame::Message::Excused(excused) => Message::Excused {
            epoch: epoch_from_wire(excused.epoch),
        },
        frame::Message::Resigned(resigned) => Message::Resigned {
            epoch: epoch_from_wire(resigned.epoch),
        },
        frame::Message::Leave(_) => Message::Leave,
        frame::Message::Refused(_) => return Err(Malformed("Refused is no message of a session")),
        frame::Message::ClockQuestion(_) | frame::Message::ClockAnswer(_) => {
            return Err(Malformed("clocks are no matter of the core"));
        }
    })
}

fn append_to_wire(append: &Append) -> wire::Append {
    wire::Append {
        epoch: Some(epoch_to_wire(append.epoch)),
        prev_lsn: append.prev_lsn.0,
        prev_epoch: Some(epoch_to_wire(append.prev_epoch)),
        entries: append.entries.iter().map(entry_to_wire).collect(),
        commit: append.commit.0,
        last: append.last.0,
        config_lsn: append.config_lsn.0,
        member: append.member,
        released: append.released,
        sent_at: append.sent_at.0,
        nonce: append.nonce,
    }
}

fn append_from_wire(append: wire::Append) -> Result<Append, Malformed> {
    Ok(Append {
        epoch: epoch_from_wire(append.epoch),
        prev_lsn: Lsn(append.prev_lsn),
        prev_epoch: epoch_from_wire(append.prev_epoch),
        entries: entries_from_wire(append.entries)?,
        commit: Lsn(append.commit),
        last: Lsn(append.last),
        config_lsn: Lsn(append.config_lsn),
        member: append.member,
        released: append.released,
        sent_at: Time(append.sent_at),
        nonce: append.nonce,
    })
}

fn entries_from_wire(entries: Vec<wire::Entry>) -> Result<Vec<Entry>, Malformed> {
    entries.into_iter().map(entry_from_wire).collect()
}

fn last_entry_to_wire(last_entry: LastEntry) -> wire::LastEntry {
    wire::LastEntry {
        epoch: Some(epoch_to_wire(last_entry.epoch)),
        lsn: last_entry.lsn.0,
    }
}

fn last_entry_from_wire(last_entry: wire::LastEntry) -> LastEntry {
    LastEntry {
        epoch: epoch_from_wire(last_entry.epoch),
        lsn: Lsn(last_entry.lsn),
    }
}

fn vote_state_to_wire(vote_state: &VoteState) -> wire::VoteState {
    let configs = vote_state
        .configs
        .iter()
        .map(|LoggedConfig { lsn, config }| wire::LoggedConfig {
            lsn: lsn.0,
            config: Some(config_to_wire(config)),
        });
    wire::VoteState {
        last_entry: Some(last_entry_to_wire(vote_state.last_entry)),
        trimmed: Some(last_entry_to_wire(vote_state.trimmed)),
        commit: vote_state.commit.0,
        configs: configs.collect(),
        active: vote_state.active,
        leaving: vote_state.leaving,
        stalled: vote_state.stalled,
    }
}

fn vote_state_from_wire(vote_state: Option<wire::VoteState>) -> Result<VoteState, Malformed> {
    let vote_state = vote_state.ok_or(Malformed("VoteState is absent"))?;
    let last_entry = vote_state
        .last_entry
        .ok_or(Malformed("VoteState.last_entry is absent"))?;
    let config = |logged: wire::LoggedConfig| -> Result<LoggedConfig, Malformed> {
        let config = logged
            .config
            .ok_or(Malformed("LoggedConfig.config is absent"))?;
        Ok(LoggedConfig {
            lsn: Lsn(logged.lsn),
            config: config_from_wire(config)?,
        })
    };
    Ok(VoteState {
        last_entry: last_entry_from_wire(last_entry),
        // A version without trimming leaves it out.
        trimmed: vote_state
            .trimmed
            .map(last_entry_from_wire)
            .unwrap_or_default(),
        commit: Lsn(vote_state.commit),
        configs: vote_state
            .configs
            .into_iter()
            .map(config)
            .collect::<Result<_, _>>()?,
        active: vote_state.active,
        leaving: vote_state.leaving,
        stalled: vote_state.stalled,
    })
}
