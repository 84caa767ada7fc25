//! The call that lists mentions, and the members whom `@here` means.

use tercet_proto::v1;
use tercet_store::{
    fields,
    mentions::MentionKind,
    queries::{ConnectedMembers, MentionRow, Mentions, Step},
};
use tercet_types::{
    fair::Key,
    limits::{HERE_MAX, PAGE_MENTIONS_MAX},
};

use super::{caller::Caller, chat::Chat, convert, messages::page_limit, page, status::Failure};

const PAGE_DEFAULT: usize = 50;

impl Chat {
    pub(super) async fn do_list_mentions(
        &self,
        caller: &Caller,
        request: v1::ListMentionsRequest,
    ) -> Result<v1::ListMentionsResponse, Failure> {
        let limit = fields::page_size(request.page_size, PAGE_DEFAULT, PAGE_MENTIONS_MAX)?;
        let (permit, session) = self.permit(caller).await?;
        let account_id = session.account_id;
        let of_token = page::Query::Mentions { account_id };
        let before = match of_token.step(&request.page_token)? {
            Some(Step::Before(lsn)) => lsn,
            Some(Step::After(_)) | None => u64::MAX,
        };
        let query = Mentions {
            account_id,
            before,
            limit: page_limit(limit),
        };
        let page = self
            .read_under(permit, Key::account(account_id), query)
            .await?;
        let next_page_token = page::next(&page, |last| of_token.at(Step::Before(last.message.lsn)));
        Ok(v1::ListMentionsResponse {
            mentions: page.rows.iter().map(mention).collect(),
            next_page_token,
        })
    }

    /// Finds the members of a room who are connected; `None` when they are too many to be mentioned one by one.
    pub(super) async fn who_is_here(
        &self,
        account_id: u64,
        room: &str,
    ) -> Result<Option<Vec<u64>>, Failure> {
        let query = ConnectedMembers {
            account_id,
            room: room.to_owned(),
            connected: self.fanout.connected(),
            limit: HERE_MAX,
        };
        self.read(Key::account(account_id), query).await
    }
}

fn mention(row: &MentionRow) -> v1::Mention {
    let kind = match row.kind {
        MentionKind::Name => v1::MentionKind::Name,
        MentionKind::Here => v1::MentionKind::Here,
        MentionKind::Room => v1::MentionKind::Room,
    };
    v1::Mention {
        message: Some(convert::room_message(&row.message)),
        kind: kind.into(),
    }
}
