//! The call that reads all messages of an account or of a room.

use tercet_proto::v1;
use tercet_store::{fields, queries::Export};
use tercet_types::{fair::Key, limits::PAGE_MESSAGES_MAX};

use super::{caller::Caller, chat::Chat, convert, messages::page_limit, page, status::Failure};

impl Chat {
    pub(super) async fn do_export_messages(
        &self,
        caller: &Caller,
        request: v1::ExportMessagesRequest,
    ) -> Result<v1::ExportMessagesResponse, Failure> {
        let room = match request.room.as_str() {
            "" => None,
            name => Some(fields::room_name("room", name)?),
        };
        let limit = fields::page_size(request.page_size, PAGE_MESSAGES_MAX, PAGE_MESSAGES_MAX)?;
        let (permit, session) = self.permit(caller).await?;
        let account_id = session.account_id;
        let of_token = page::Query::Export {
            account_id,
            room: &request.room,
        };
        let query = Export {
            account_id,
            room: room.clone(),
            place: of_token.export_place(&request.page_token)?,
            limit: page_limit(limit),
        };
        let key = Key::account(account_id);
        let found = self.read_under(permit, key, query).await?;
        let page = found.map_err(|denied| Failure::of_denied(denied, room.unwrap_or_default()))?;
        let messages = page.messages.into_iter().map(convert::found);
        let next = page.next.map(|place| of_token.at_export_place(place));
        Ok(v1::ExportMessagesResponse {
            messages: messages.collect(),
            next_page_token: next.unwrap_or_default(),
            through: page.through,
        })
    }
}
