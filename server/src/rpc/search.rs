//! The call that searches messages.

use tercet_proto::v1;
use tercet_store::{
    fields::{self, LSN_MAX},
    queries::Step,
    search::{self, Hit, NotSearched, Search},
};
use tercet_types::{fair::Key, limits::PAGE_HITS_MAX};

use super::{caller::Caller, chat::Chat, convert, page, status::Failure};

/// Hits on a page unless the request says how many.
const PAGE_DEFAULT: usize = 20;

impl Chat {
    pub(super) async fn do_search_messages(
        &self,
        caller: &Caller,
        request: v1::SearchMessagesRequest,
    ) -> Result<v1::SearchMessagesResponse, Failure> {
        let query = search::parse(&request.query)?;
        let limit = fields::page_size(request.page_size, PAGE_DEFAULT, PAGE_HITS_MAX)?;
        let (permit, session) = self.permit(caller).await?;
        let account_id = session.account_id;
        let of_token = page::Query::Search {
            account_id,
            query: &request.query,
        };
        let before = match of_token.step(&request.page_token)? {
            Some(Step::Before(lsn)) => lsn,
            // No call gives a token in that direction: the page starts at the newest hit.
            Some(Step::After(_)) | None => LSN_MAX,
        };
        let search = Search {
            account_id,
            query,
            before,
            limit,
        };
        let answer = self.search.search(Key::account(account_id), search).await;
        permit.confirm()?;
        let page = answer?.map_err(|why| match why {
            NotSearched::UnknownAccount(name) => Failure::UnknownAccount(name),
            NotSearched::UnknownPeer => Failure::UnknownPeer,
            NotSearched::Room(denied, room) => Failure::of_denied(denied, room),
        })?;
        let next = page.next.map(|lsn| of_token.at(Step::Before(lsn)));
        Ok(v1::SearchMessagesResponse {
            hits: page.hits.into_iter().map(hit).collect(),
            next_page_token: next.unwrap_or_default(),
            through: page.through,
            complete: page.is_complete,
        })
    }
}

fn hit(hit: Hit) -> v1::SearchHit {
    // A body has at most 16 KiB.
    let number = |place: usize| u32::try_from(place).unwrap_or(u32::MAX);
    let spans = hit.spans.into_iter().map(|(start, end)| v1::TextSpan {
        start: number(start),
        length: number(end - start),
    });
    v1::SearchHit {
        message: Some(convert::found(hit.row)),
        spans: spans.collect(),
    }
}
