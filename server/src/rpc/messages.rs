//! Calls about messages: sending one, history, waiting messages, and marking them as delivered.

use std::collections::BTreeMap;

use bytes::Bytes;
use tercet_proto::{log, v1};
use tercet_store::{
    commands::{
        Request as _,
        acknowledge_messages::{self, Acknowledgement},
        send_message::{self, Recipient, Send, Sending, Sent},
    },
    fields::{self, LSN_MAX, bad},
    mentions::names_here,
    queries::{
        Conversation, ConversationPage, ConversationThread, Page, PageLimit, Peer, RecordedOutcome,
        Start, Step, Undelivered, WaitingIds,
    },
};
use tercet_types::{fair::Key, limits::PAGE_MESSAGES_MAX, name::is_of_room};

use super::{caller::Caller, chat::Chat, convert, page, status::Failure};
use crate::auth::{Session, token};

const HISTORY_DEFAULT: usize = 50;
const UNDELIVERED_DEFAULT: usize = 100;
/// Messages that one read examines in search of ids: about 10 ms of work, then other reads have their turn.
const WAITING_PAGE: usize = 10_000;
/// Bytes of text on a page, beyond its first message: clients accept 4 MiB.
const PAGE_BYTES_MAX: usize = 1 << 20;

impl Chat {
    pub(super) async fn do_send_message(
        &self,
        caller: &Caller,
        request: v1::SendMessageRequest,
    ) -> Result<v1::SendMessageResponse, Failure> {
        let send = send_message::validate(request)?;
        let session = self.session(caller).await?;
        let request_id = send.request_id;
        let command = self.send_command(&session, send).await?;
        let key = Key::account(session.account_id);
        let message = self.submit(key, request_id, command).await?;
        Ok(sent(request_id, message))
    }

    /// Makes the command of one message. It reads no store, unless the message mentions those who are connected: the log
    /// resolves the recipient, and the fan-out knows connected accounts by name.
    pub(super) async fn send_command(
        &self,
        session: &Session,
        send: Send,
    ) -> Result<Sending, Failure> {
        let sender_id = session.account_id;
        Ok(match send.recipient {
            Recipient::Account(recipient) => Sending::Direct(log::SendMessage {
                sender_id,
                instant: self.fanout.is_connected(&recipient),
                recipient,
                body: send.body,
                reply_to: send.reply_to,
            }),
            Recipient::Room(room) => {
                let here = match names_here(&send.body) {
                    true => self.who_is_here(sender_id, &room).await?,
                    false => Some(Vec::new()),
                };
                Sending::ToRoom(log::SendToRoom {
                    sender_id,
                    room,
                    body: send.body,
                    reply_to: send.reply_to,
                    here_are_many: here.is_none(),
                    here_ids: here.unwrap_or_default(),
                })
            }
        })
    }

    pub(super) async fn do_acknowledge_messages(
        &self,
        caller: &Caller,
        request: v1::AcknowledgeMessagesRequest,
    ) -> Result<v1::AcknowledgeMessagesResponse, Failure> {
        let Acknowledgement {
            request_id,
            message_ids: ids,
        } = acknowledge_messages::validate(&request)?;
        let session = self.session(caller).await?;
        let command = log::AcknowledgeMessages {
            account_id: session.account_id,
            message_ids: ids.iter().map(|id| Bytes::copy_from_slice(id)).collect(),
            lsns: Vec::new(),
        };
        let key = Key::account(session.account_id);
        let done = self.submit(key, request_id, command).await?;
        let old = match done.unknown {
            0 => 0,
            _ => self.acknowledge_old(&session, &request_id, &ids).await?,
        };
        Ok(v1::AcknowledgeMessagesResponse {
            acknowledged: done.count + old,
        })
    }

    /// Acknowledges those of the messages whose requests are not remembered any more, by a command of its own;
    /// gives how many. They are looked for here and not where commands are applied: very many may wait.
    async fn acknowledge_old(
        &self,
        session: &Session,
        request_id: &[u8; 16],
        ids: &[[u8; 16]],
    ) -> Result<u64, Failure> {
        let account_id = session.account_id;
        let key = Key::account(account_id);
        let request_id = token::derived_request_id(b"acknowledge", request_id);
        // In a retry all of them may be acknowledged already.
        let recorded = self.read(key, RecordedOutcome { request_id }).await?;
        let recorded = recorded.and_then(|outcome| outcome.result);
        if let Some(done) = recorded.and_then(log::AcknowledgeMessages::outcome) {
            return Ok(done.count);
        }
        let mut found: BTreeMap<[u8; 16], u64> = ids.iter().map(|id| (*id, 0)).collect();
        let mut after = 0;
        loop {
            let query = WaitingIds {
                account_id,
                after,
                limit: WAITING_PAGE,
            };
            let page = self.read(key, query).await?;
            for (lsn, id) in &page.rows {
                if let Some(known) = found.get_mut(id) {
                    *known = *lsn;
                }
            }
            match page.rows.last() {
                Some((last, _)) if page.more => after = *last,
                _ => break,
            }
        }
        if found.values().all(|&lsn| lsn == 0) {
            return Ok(0);
        }
        let lsns = ids.iter().map(|id| found[id]).collect();
        let command = log::AcknowledgeMessages {
            account_id,
            message_ids: ids.iter().map(|id| Bytes::copy_from_slice(id)).collect(),
            lsns,
        };
        let done = self.submit(key, request_id, command).await?;
        Ok(done.count)
    }

    pub(super) async fn do_fetch_undelivered(
        &self,
        caller: &Caller,
        request: v1::FetchUndeliveredRequest,
    ) -> Result<v1::FetchUndeliveredResponse, Failure> {
        let limit = fields::page_size(request.page_size, UNDELIVERED_DEFAULT, PAGE_MESSAGES_MAX)?;
        let (permit, session) = self.permit(caller).await?;
        let account_id = session.account_id;
        let of_token = page::Query::Undelivered { account_id };
        let after = match of_token.step(&request.page_token)? {
            Some(Step::After(lsn)) => lsn,
            // No call gives a token in that direction: the page starts at the oldest message.
            Some(Step::Before(_)) | None => 0,
        };
        let query = Undelivered {
            account_id,
            after,
            limit: page_limit(limit),
        };
        let key = Key::account(account_id);
        let page = self.read_under(permit, key, query).await?;
        let next_page_token = match page.rows.last() {
            Some(last) if page.more => of_token.at(Step::After(last.lsn)),
            _ => String::new(),
        };
        Ok(v1::FetchUndeliveredResponse {
            messages: page.rows.into_iter().map(convert::message).collect(),
            next_page_token,
        })
    }

    pub(super) async fn do_list_messages(
        &self,
        caller: &Caller,
        request: v1::ListMessagesRequest,
    ) -> Result<v1::ListMessagesResponse, Failure> {
        let limit = fields::page_size(request.page_size, HISTORY_DEFAULT, PAGE_MESSAGES_MAX)?;
        let by_id = request.conversation_id > 0;
        if by_id || (request.peer_account_id == 0 && is_of_room(&request.peer)) {
            return self
                .list_room_messages(caller, request, page_limit(limit))
                .await;
        }
        let peer = peer(&request)?;
        let start = start(&request)?;
        let (permit, session) = self.permit(caller).await?;
        let account_id = session.account_id;
        let given = page::step_of_any(&request.page_token)?;
        let oldest_first = start.is_ascending();
        let query = Conversation {
            account_id,
            peer,
            start: given.map_or(start, Start::Seq),
            limit: page_limit(limit),
        };
        let key = Key::account(account_id);
        let found = match request.thread_seq {
            0 => self.read_under(permit, key, query).await?,
            seq => {
                let thread = ConversationThread { of: query, seq };
                self.read_under(permit, key, thread).await?
            }
        };
        let ConversationPage {
            peer_id,
            step,
            messages,
        } = found.ok_or(Failure::UnknownPeer)?;
        let of_token = page::Query::Messages {
            account_id,
            peer_id,
            oldest_first,
        };
        let thread = page::Query::Thread {
            of: &of_token,
            seq: request.thread_seq,
        };
        let of_token = match request.thread_seq {
            0 => &of_token,
            _ => &thread,
        };
        // Only now it is known of which conversation the token must be.
        of_token.step(&request.page_token)?;
        let (older, newer) = neighbours(&messages, |row| row.seq, step, given.is_some());
        let token = |step: Option<Step>| step.map_or_else(String::new, |step| of_token.at(step));
        let (older, newer) = (token(older), token(newer));
        Ok(v1::ListMessagesResponse {
            messages: messages.rows.into_iter().map(convert::message).collect(),
            next_page_token: if oldest_first {
                newer.clone()
            } else {
                older.clone()
            },
            older_page_token: older,
            newer_page_token: newer,
            peer_account_id: peer_id,
            conversation_id: 0,
        })
    }
}

/// Gives the place at which a list of messages starts without a page token.
pub(super) fn start(request: &v1::ListMessagesRequest) -> Result<Start, Failure> {
    let seq = |step| ("INVALID_SEQ", Start::Seq(step));
    let cursor = |step| ("INVALID_CURSOR", Start::Cursor(step));
    let time = |start| ("INVALID_TIME", start);
    let fields = [
        (
            "before_seq",
            request.before_seq,
            seq(Step::Before(request.before_seq)),
        ),
        (
            "after_seq",
            request.after_seq,
            seq(Step::After(request.after_seq)),
        ),
        (
            "before_ms",
            ms("before_ms", request.before_ms)?,
            time(Start::BeforeTime(request.before_ms)),
        ),
        (
            "after_ms",
            ms("after_ms", request.after_ms)?,
            time(Start::FromTime(request.after_ms)),
        ),
        (
            "before_cursor",
            request.before_cursor,
            cursor(Step::Before(request.before_cursor)),
        ),
        (
            "after_cursor",
            request.after_cursor,
            cursor(Step::After(request.after_cursor)),
        ),
    ];
    let mut given = fields.into_iter().filter(|(_, value, _)| *value > 0);
    let Some((field, _, (reason, start))) = given.next() else {
        return Ok(Start::Seq(match request.oldest_first {
            true => Step::After(0),
            false => Step::Before(LSN_MAX),
        }));
    };
    if request.oldest_first && !start.is_ascending() {
        let what = "goes from the newest message before it, and so not with oldest_first";
        return Err(bad(field, reason, what).into());
    }
    match given.next() {
        None => Ok(start),
        Some((second, _, (reason, _))) => {
            let what = format!("give one of {field} and {second}");
            Err(bad(second, reason, what).into())
        }
    }
}

fn ms(field: &'static str, ms: i64) -> Result<u64, Failure> {
    let what = "is a time since 1970, in milliseconds";
    u64::try_from(ms).map_err(|_| bad(field, "INVALID_TIME", what).into())
}

/// Makes the response to a sender.
pub(super) fn sent(request_id: [u8; 16], sent: Sent) -> v1::SendMessageResponse {
    let message_id = convert::uuid_text(request_id);
    match sent {
        Sent::Direct(sent) => v1::SendMessageResponse {
            message_id,
            cursor: sent.lsn,
            sent_at_ms: sent.stamp_ms,
            instant: sent.instant,
            seq: sent.seq,
            conversation_id: 0,
        },
        Sent::ToRoom(sent) => v1::SendMessageResponse {
            message_id,
            cursor: sent.lsn,
            sent_at_ms: sent.stamp_ms,
            instant: false,
            seq: sent.seq,
            conversation_id: sent.room_id,
        },
    }
}

/// Makes the limits of a page of messages.
pub(super) fn page_limit(rows: usize) -> PageLimit {
    PageLimit {
        rows,
        bytes: PAGE_BYTES_MAX,
    }
}

fn peer(request: &v1::ListMessagesRequest) -> Result<Peer, Failure> {
    match (request.peer_account_id, request.peer.as_str()) {
        (0, "") => {
            let what = "name the other person, or give peer_account_id";
            Err(bad("peer", "INVALID_USERNAME", what).into())
        }
        (0, name) => Ok(Peer::Name(fields::username("peer", name)?)),
        (id, _) => Ok(Peer::Id(id)),
    }
}

/// Where the pages before and after this one are. On the side that the token came from there is
/// always one; on the other if more rows follow.
pub(super) fn neighbours<T>(
    page: &Page<T>,
    position: fn(&T) -> u64,
    step: Step,
    by_token: bool,
) -> (Option<Step>, Option<Step>) {
    let (first, last) = match (page.rows.first(), page.rows.last(), step) {
        (Some(first), Some(last), _) => (position(first), position(last)),
        // An empty page: the position itself.
        (_, _, Step::Before(lsn)) => (lsn, lsn.saturating_sub(1)),
        (_, _, Step::After(lsn)) => (lsn.saturating_add(1).min(LSN_MAX), lsn),
    };
    let (older, newer) = match step {
        Step::Before(_) => (page.more, by_token),
        Step::After(_) => (by_token, page.more),
    };
    (
        older.then_some(Step::Before(first)),
        newer.then_some(Step::After(last)),
    )
}

#[cfg(test)]
mod tests {
    use tercet_store::event::MessageRow;

    use super::*;

    fn neighbours(
        page: &Page<MessageRow>,
        step: Step,
        by_token: bool,
    ) -> (Option<Step>, Option<Step>) {
        super::neighbours(page, |row| row.lsn, step, by_token)
    }

    fn page(lsns: std::ops::Range<u64>, more: bool) -> Page<MessageRow> {
        let row = |lsn| MessageRow {
            lsn,
            id: [1; 16],
            seq: lsn,
            sender_id: 1,
            sender: "ann".into(),
            sender_deleted: false,
            recipient_id: 2,
            recipient: "bob".into(),
            recipient_deleted: false,
            body: "x".into(),
            sent_at_ms: 1,
            instant: false,
            delivered: false,
            parts: Default::default(),
        };
        Page {
            rows: lsns.map(row).collect(),
            more,
        }
    }

    #[test]
    fn first_page_has_a_neighbour_on_one_side_and_later_ones_on_both() {
        let middle = page(5..10, true);
        let from_newest = neighbours(&middle, Step::Before(LSN_MAX), false);
        assert_eq!(from_newest, (Some(Step::Before(5)), None));
        let from_oldest = neighbours(&middle, Step::After(0), false);
        assert_eq!(from_oldest, (None, Some(Step::After(9))));
        let between = neighbours(&middle, Step::Before(10), true);
        assert_eq!(between, (Some(Step::Before(5)), Some(Step::After(9))));
        let last_of_all = neighbours(&page(5..10, false), Step::After(4), true);
        assert_eq!(last_of_all, (Some(Step::Before(5)), None));
    }

    #[test]
    fn page_that_turned_out_empty_leads_back() {
        let empty = page(0..0, false);
        let older = neighbours(&empty, Step::Before(10), true);
        assert_eq!(older, (None, Some(Step::After(9))));
        let newer = neighbours(&empty, Step::After(9), true);
        assert_eq!(newer, (Some(Step::Before(10)), None));
        assert_eq!(
            neighbours(&empty, Step::Before(LSN_MAX), false),
            (None, None)
        );
    }
}
