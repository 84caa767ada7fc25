//! The list of an account's conversations.

use tercet_proto::v1;
use tercet_store::{
    fields,
    levels::Level,
    queries::{ConversationRow, Conversations, FoundRow, Step, With},
};
use tercet_types::{
    fair::Key,
    limits::{PAGE_ROOMS_MAX, PREVIEW_CHARS_MAX},
};

use super::{caller::Caller, chat::Chat, convert, levels, page, status::Failure};

const PAGE_DEFAULT: usize = 100;

impl Chat {
    pub(super) async fn do_list_conversations(
        &self,
        caller: &Caller,
        request: v1::ListConversationsRequest,
    ) -> Result<v1::ListConversationsResponse, Failure> {
        let limit = fields::page_size(request.page_size, PAGE_DEFAULT, PAGE_ROOMS_MAX)?;
        let (permit, session) = self.permit(caller).await?;
        let account_id = session.account_id;
        let of_token = page::Query::Conversations { account_id };
        let before = match of_token.step(&request.page_token)? {
            Some(Step::Before(lsn)) => lsn,
            Some(Step::After(_)) | None => u64::MAX,
        };
        let query = Conversations {
            account_id,
            before,
            limit,
        };
        let key = Key::account(account_id);
        let page = self.read_under(permit, key, query).await?;
        let next_page_token = match page.rows.last() {
            Some(last) if page.more => of_token.at(Step::Before(last.last_lsn)),
            _ => String::new(),
        };
        Ok(v1::ListConversationsResponse {
            conversations: page.rows.into_iter().map(conversation).collect(),
            next_page_token,
            cursor: page.applied,
        })
    }
}

fn conversation(row: ConversationRow) -> v1::Conversation {
    let of_all = v1::Conversation {
        conversation_id: row.id,
        first_seq: row.first_seq,
        last_seq: row.last_seq,
        read_seq: row.read_seq,
        unread: row.unread,
        mentions: row.mentions,
        level: levels::level(row.level).into(),
        muted: row.level == Level::None,
        last_message: row.last.map(preview),
        ..v1::Conversation::default()
    };
    match row.with {
        With::Room(room) => {
            let role = room
                .membership
                .map(|membership| convert::role(membership.role));
            v1::Conversation {
                kind: if room.settings.is_feed {
                    v1::ConversationKind::Feed.into()
                } else {
                    v1::ConversationKind::Room.into()
                },
                name: convert::room_name(&room.name),
                role: role.unwrap_or_default().into(),
                topic: room.topic,
                archived: room.is_archived,
                ..of_all
            }
        }
        With::Account {
            account_id,
            username,
            is_deleted,
            seen_seq,
            delivered_seq,
        } => v1::Conversation {
            kind: v1::ConversationKind::Direct.into(),
            name: username,
            peer_account_id: account_id,
            peer_deleted: is_deleted,
            peer_read_seq: seen_seq,
            peer_delivered_seq: delivered_seq,
            ..of_all
        },
    }
}

fn preview(row: FoundRow) -> v1::MessagePreview {
    let message = match row {
        FoundRow::Direct(row) => convert::message(row),
        FoundRow::Room(row) => convert::room_message(&row),
    };
    let text = message.body.chars().take(PREVIEW_CHARS_MAX);
    v1::MessagePreview {
        seq: message.seq,
        cursor: message.cursor,
        kind: message.kind,
        text: text.map(|c| if c == '\n' { ' ' } else { c }).collect(),
        sent_at_ms: message.sent_at_ms,
        deleted: message.deleted_at_ms > 0,
        sender: message.sender,
        sender_id: message.sender_id,
    }
}
