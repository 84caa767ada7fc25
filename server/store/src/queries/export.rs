//! Queries of exports: all messages of a room, or of all conversations of an account, one conversation after the other.

use rusqlite::{Connection, params};

use super::{
    Conversation, FoundRow, Page, PageLimit, Peer, Query, Step, integer, rooms,
    search::applied_lsn, search::rooms_of,
};
use crate::{
    StoreError,
    rooms::{Act, Denied},
};

/// Conversations that are visited for one page.
const VISITED_MAX: usize = 500;

/// A page of an export.
#[derive(Clone, Debug)]
pub struct Export {
    pub account_id: u64,
    /// The name of the room, without the `#`; `None` for all conversations of the account.
    pub room: Option<String>,
    /// `None` for the first page.
    pub place: Option<ExportPlace>,
    pub limit: PageLimit,
}

/// The place at which an export goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExportPlace {
    /// The export has the messages up to this LSN.
    pub through: u64,
    pub conversation_id: u64,
    /// In that conversation it comes after this seq.
    pub after: u64,
}

/// The messages of a page, by conversation and then in its order.
#[derive(Clone, Debug)]
pub struct ExportPage {
    pub messages: Vec<FoundRow>,
    /// `None` after the last page. A page can be empty although another follows.
    pub next: Option<ExportPlace>,
    pub through: u64,
}

#[derive(Clone, Copy)]
enum Source {
    /// The conversation with this account.
    Direct(u64),
    Room,
}

impl Query for Export {
    type Rows = Result<ExportPage, Denied>;

    const SCANS_UNINDEXED: bool = true;

    fn read(&self, state: &Connection) -> Result<Self::Rows, StoreError> {
        // All statements see one state.
        let alone = state.is_autocommit();
        let transaction = alone.then(|| state.unchecked_transaction()).transpose()?;
        let mut sources = match &self.room {
            None => conversations(state, self.account_id)?,
            Some(room) => match rooms::find(state, room, self.account_id, Act::Export)? {
                Ok(id) => vec![(id, Source::Room)],
                Err(denied) => return Ok(Err(denied)),
            },
        };
        sources.sort_unstable_by_key(|(id, _)| *id);
        let mut place = match self.place {
            Some(place) => place,
            None => ExportPlace {
                through: applied_lsn(state)?,
                conversation_id: 0,
                after: 0,
            },
        };
        let mut page = ExportPage {
            messages: Vec::new(),
            next: None,
            through: place.through,
        };
        let mut limit = self.limit;
        let from = sources.partition_point(|(id, _)| *id < place.conversation_id);
        for (visited, &(id, source)) in sources[from..].iter().enumerate() {
            if id != place.conversation_id {
                place.after = 0;
            }
            place.conversation_id = id;
            if limit.rows == 0 || limit.bytes == 0 || visited == VISITED_MAX {
                page.next = Some(place);
                break;
            }
            let (rows, is_done) = self.read_source(state, (id, source), place, limit)?;
            for row in &rows {
                limit.rows = limit.rows.saturating_sub(1);
                limit.bytes = limit.bytes.saturating_sub(row.body().len());
            }
            if !is_done && let Some(last) = rows.last() {
                place.after = match last {
                    FoundRow::Direct(row) => row.seq,
                    FoundRow::Room(row) => row.seq,
                };
                page.next = Some(place);
            }
            page.messages.extend(rows);
            if !is_done {
                break;
            }
        }
        drop(transaction);
        Ok(Ok(page))
    }
}

impl Export {
    /// Reads messages of one conversation; tells whether they are its last ones up to the end of the export.
    fn read_source(
        &self,
        state: &Connection,
        (id, source): (u64, Source),
        place: ExportPlace,
        limit: PageLimit,
    ) -> Result<(Vec<FoundRow>, bool), StoreError> {
        let page = match source {
            Source::Direct(peer_id) => {
                let step = Step::After(place.after);
                let conversation = Conversation {
                    account_id: self.account_id,
                    peer: Peer::Id(peer_id),
                    start: step.into(),
                    limit,
                };
                let page = conversation.page(state, peer_id, step, limit)?;
                found(page, FoundRow::Direct)
            }
            Source::Room => {
                let page = rooms::messages_after(state, self.account_id, id, place.after, limit)?;
                found(page, FoundRow::Room)
            }
        };
        let mut rows = page.rows;
        let count = rows.len();
        rows.retain(|row| row.lsn() <= place.through);
        let is_done = !page.more || rows.len() < count;
        Ok((rows, is_done))
    }
}

fn found<T>(page: Page<T>, of: fn(T) -> FoundRow) -> Page<FoundRow> {
    Page {
        rows: page.rows.into_iter().map(of).collect(),
        more: page.more,
    }
}

/// Lists the conversations of an account.
fn conversations(state: &Connection, account_id: u64) -> Result<Vec<(u64, Source)>, StoreError> {
    let mut select = state.prepare_cached(
        "SELECT id, high_account FROM conversations WHERE low_account = ?1
         UNION SELECT id, low_account FROM conversations INDEXED BY conversations_by_high
         WHERE high_account = ?1",
    )?;
    let rows = select.query_map(params![integer(account_id)], |row| {
        Ok((row.get(0)?, Source::Direct(row.get(1)?)))
    })?;
    let mut all: Vec<(u64, Source)> = rows.collect::<Result<_, _>>()?;
    let in_rooms = rooms_of(state, account_id)?;
    all.extend(in_rooms.into_iter().map(|id| (id, Source::Room)));
    Ok(all)
}
