//! Rooms, end to end: calls, lists, history and subscriptions.

use tokio::time::timeout;
use tonic::Streaming;
use v1::subscribe_response::Event;

use super::*;

/// Long enough for a slow machine.
const PATIENCE: Duration = Duration::from_secs(20);

impl Client {
    async fn create_room(&mut self, room: &str, private: bool) -> Result<u64, Status> {
        let request = self.by(v1::CreateRoomRequest {
            request_id: id(),
            room: room.into(),
            private,
            ..v1::CreateRoomRequest::default()
        });
        let created = self.chat.create_room(request).await?;
        Ok(created.into_inner().conversation_id)
    }

    async fn join(&mut self, room: &str) -> Result<u64, Status> {
        let request = self.by(v1::JoinRoomRequest {
            request_id: id(),
            room: room.into(),
        });
        Ok(self.chat.join_room(request).await?.into_inner().seq)
    }

    async fn invite(&mut self, room: &str, username: &str) -> Result<u64, Status> {
        let request = self.by(v1::InviteToRoomRequest {
            request_id: id(),
            room: room.into(),
            username: username.into(),
        });
        Ok(self.chat.invite_to_room(request).await?.into_inner().seq)
    }

    async fn change(
        &mut self,
        room: &str,
        change: Option<v1::change_room_request::Change>,
    ) -> Result<u64, Status> {
        let request = self.by(v1::ChangeRoomRequest {
            request_id: id(),
            room: room.into(),
            change,
        });
        Ok(self.chat.change_room(request).await?.into_inner().seq)
    }

    async fn say(&mut self, room: &str, body: &str) -> Result<v1::SendMessageResponse, Status> {
        let request = self.by(v1::SendMessageRequest {
            request_id: id(),
            recipient: room.into(),
            body: body.into(),
            reply_to: 0,
        });
        Ok(self.chat.send_message(request).await?.into_inner())
    }

    async fn room_page(
        &mut self,
        request: v1::ListMessagesRequest,
    ) -> Result<v1::ListMessagesResponse, Status> {
        let request = self.by(request);
        Ok(self.chat.list_messages(request).await?.into_inner())
    }

    async fn feed(&mut self, cursor: u64) -> Streaming<v1::SubscribeResponse> {
        let from_now = false;
        let request = self.by(v1::SubscribeRequest {
            cursor,
            from_now,
            presence: false,
        });
        self.chat.subscribe(request).await.unwrap().into_inner()
    }
}

/// Gives the next messages of a stream.
async fn messages(stream: &mut Streaming<v1::SubscribeResponse>, count: usize) -> Vec<v1::Message> {
    let mut found = Vec::new();
    while found.len() < count {
        let response = timeout(PATIENCE, stream.message()).await.expect("in time");
        if let Some(Event::Message(message)) = response.unwrap().unwrap().event {
            found.push(message);
        }
    }
    found
}

#[tokio::test]
async fn messages_of_a_room_reach_all_members_live_and_from_the_store() {
    let replica = Replica::start().await;
    let mut ann = replica.person("ann").await;
    let mut bob = replica.person("bob").await;
    let mut cy = replica.person("cy").await;
    let room_id = ann.create_room("#Tea", false).await.unwrap();
    let mut of_ann = ann.feed(0).await;
    let mut of_cy = cy.feed(0).await;
    assert_eq!(bob.join("#tea").await.unwrap(), 2);
    let sent = bob.say("#tea", "hello").await.unwrap();
    assert_eq!((sent.seq, sent.conversation_id), (3, room_id));
    let live = messages(&mut of_ann, 3).await;
    let seqs: Vec<u64> = live.iter().map(|message| message.seq).collect();
    assert_eq!(seqs, [1, 2, 3], "her own, too");
    let last = &live[2];
    assert_eq!((&*last.conversation, &*last.body), ("#Tea", "hello"));
    assert_eq!(
        (last.cursor, &last.message_id),
        (sent.cursor, &sent.message_id)
    );
    assert_eq!(last.kind(), v1::MessageKind::Text);
    assert_eq!(live[1].kind(), v1::MessageKind::Joined);

    // The same from the store; a member sees what comes after the joining, a stranger nothing.
    assert_eq!(messages(&mut ann.feed(0).await, 3).await, live);
    assert_eq!(messages(&mut bob.feed(0).await, 2).await, live[1..]);
    let history = v1::ListMessagesRequest {
        peer: "#TEA".into(),
        ..v1::ListMessagesRequest::default()
    };
    assert_eq!(ann.room_page(history).await.unwrap().messages, live);
    cy.send(&id(), "cy", "to herself").await.unwrap();
    assert_eq!(messages(&mut of_cy, 1).await[0].body, "to herself");
    assert_eq!(ann.invite("#tea", "cy").await.unwrap(), 4);
    let invited = messages(&mut of_cy, 1).await.remove(0);
    assert_eq!((&*invited.sender, &*invited.subject), ("ann", "cy"));
}

#[tokio::test]
async fn history_of_a_room_is_paged_by_seq_and_by_token() {
    let replica = Replica::start().await;
    let mut ann = replica.person("ann").await;
    ann.create_room("#tea", true).await.unwrap();
    for n in 2..=20 {
        assert_eq!(ann.say("#tea", "x").await.unwrap().seq, n);
    }
    let request = |before_seq, after_seq, page_token: &str| v1::ListMessagesRequest {
        peer: "#tea".into(),
        page_size: 5,
        before_seq,
        after_seq,
        page_token: page_token.into(),
        ..v1::ListMessagesRequest::default()
    };
    let seqs = |page: &v1::ListMessagesResponse| {
        page.messages
            .iter()
            .map(|message| message.seq)
            .collect::<Vec<_>>()
    };
    let newest = ann.room_page(request(0, 0, "")).await.unwrap();
    assert_eq!(seqs(&newest), [16, 17, 18, 19, 20]);
    let older = ann
        .room_page(request(0, 0, &newest.next_page_token))
        .await
        .unwrap();
    assert_eq!(seqs(&older), [11, 12, 13, 14, 15]);
    let before = ann.room_page(request(4, 0, "")).await.unwrap();
    assert_eq!(
        (seqs(&before), &*before.older_page_token),
        (vec![1, 2, 3], "")
    );
    let after = ann.room_page(request(0, 12, "")).await.unwrap();
    assert_eq!(seqs(&after), [13, 14, 15, 16, 17]);
    let next = ann
        .room_page(request(0, 12, &after.next_page_token))
        .await
        .unwrap();
    assert_eq!(seqs(&next), [18, 19, 20]);
    assert_eq!(next.next_page_token, "");
    let both = ann.room_page(request(1, 1, "")).await.unwrap_err();
    assert_eq!(reason(&both), "INVALID_SEQ");
    // By time and by cursor.
    let page = |request: v1::ListMessagesRequest| v1::ListMessagesRequest {
        peer: "#tea".into(),
        page_size: 3,
        ..request
    };
    let [first, .., last] = &newest.messages[..] else {
        panic!("five messages");
    };
    let from = page(v1::ListMessagesRequest {
        after_ms: first.sent_at_ms,
        ..Default::default()
    });
    let found = ann.room_page(from.clone()).await.unwrap();
    assert_eq!(found.messages.len(), 3);
    assert!(found.messages[0].seq <= 16 && found.messages[0].sent_at_ms >= first.sent_at_ms);
    let next = ann.room_page(v1::ListMessagesRequest {
        page_token: found.newer_page_token.clone(),
        ..from
    });
    assert_eq!(seqs(&next.await.unwrap())[0], found.messages[2].seq + 1);
    let before = page(v1::ListMessagesRequest {
        before_cursor: first.cursor,
        ..Default::default()
    });
    assert_eq!(seqs(&ann.room_page(before).await.unwrap()), [13, 14, 15]);
    let late = page(v1::ListMessagesRequest {
        after_ms: last.sent_at_ms + 1_000,
        ..Default::default()
    });
    assert_eq!(ann.room_page(late).await.unwrap().messages, []);
    for (wrong, expected) in [
        (
            v1::ListMessagesRequest {
                before_ms: -1,
                ..Default::default()
            },
            "INVALID_TIME",
        ),
        (
            v1::ListMessagesRequest {
                before_ms: 7,
                oldest_first: true,
                ..Default::default()
            },
            "INVALID_TIME",
        ),
        (
            v1::ListMessagesRequest {
                after_ms: 7,
                after_cursor: 7,
                ..Default::default()
            },
            "INVALID_CURSOR",
        ),
    ] {
        let refused = ann.room_page(page(wrong)).await.unwrap_err();
        assert_eq!(reason(&refused), expected);
    }
    // The same in a direct conversation, here with oneself.
    for seq in 1..=9 {
        let sent = ann.send(&id(), "ann", "a note").await.unwrap();
        assert_eq!(sent.seq, seq);
    }
    let direct = |request| v1::ListMessagesRequest {
        peer: "ann".into(),
        page_size: 2,
        ..request
    };
    let before = ann.room_page(direct(request(5, 0, ""))).await.unwrap();
    assert_eq!(seqs(&before), [3, 4]);
    let token = &before.next_page_token;
    let older = ann.room_page(direct(request(0, 0, token))).await.unwrap();
    assert_eq!(seqs(&older), [1, 2]);
    let after = ann.room_page(direct(request(0, 6, ""))).await.unwrap();
    assert_eq!(seqs(&after), [7, 8]);
    let token = &after.next_page_token;
    let newer = ann.room_page(direct(request(0, 6, token))).await.unwrap();
    assert_eq!(seqs(&newer), [9]);
    let both = ann.room_page(direct(request(1, 1, ""))).await;
    assert_eq!(reason(&both.unwrap_err()), "INVALID_SEQ");
    let of_other = ann.room_page(request(0, 12, &newest.next_page_token)).await;
    assert_eq!(reason(&of_other.unwrap_err()), "WRONG_PAGE_TOKEN");
}

#[tokio::test]
async fn private_room_is_unknown_outside_and_listed_inside() {
    let replica = Replica::start().await;
    let mut ann = replica.person("ann").await;
    let mut bob = replica.person("bob").await;
    ann.create_room("#secret", true).await.unwrap();
    ann.create_room("#open", false).await.unwrap();
    for room in ["#secret", "#none"] {
        for failed in [
            bob.join(room).await.unwrap_err(),
            bob.invite(room, "bob").await.unwrap_err(),
            bob.say(room, "x").await.unwrap_err(),
        ] {
            assert_eq!(failed.code(), tonic::Code::NotFound);
            assert_eq!(reason(&failed), "UNKNOWN_ROOM");
        }
    }
    assert_eq!(
        reason(&bob.say("#open", "x").await.unwrap_err()),
        "NOT_A_MEMBER"
    );
    assert_eq!(
        reason(&bob.create_room("#Open", true).await.unwrap_err()),
        "ROOM_NAME_TAKEN"
    );
    assert_eq!(
        reason(&bob.say("#9", "x").await.unwrap_err()),
        "INVALID_ROOM_NAME"
    );
    ann.invite("#secret", "bob").await.unwrap();
    assert_eq!(
        reason(&bob.invite("#secret", "ann").await.unwrap_err()),
        "ROLE_MAY_NOT"
    );
    let request = bob.by(v1::ListRoomsRequest {
        pattern: "#*".into(),
        ..v1::ListRoomsRequest::default()
    });
    let rooms = bob
        .chat
        .list_rooms(request)
        .await
        .unwrap()
        .into_inner()
        .rooms;
    let seen: Vec<_> = rooms
        .iter()
        .map(|room| (room.name.as_str(), room.private, room.role()))
        .collect();
    let (none, member) = (v1::MemberRole::Unspecified, v1::MemberRole::Member);
    assert_eq!(seen, [("#open", false, none), ("#secret", true, member)]);

    let request = bob.by(v1::ListMembersRequest {
        room: "#secret".into(),
        page_size: 1,
        page_token: String::new(),
    });
    let first = bob.chat.list_members(request).await.unwrap().into_inner();
    let request = bob.by(v1::ListMembersRequest {
        room: "#secret".into(),
        page_size: 1,
        page_token: first.next_page_token,
    });
    let second = bob.chat.list_members(request).await.unwrap().into_inner();
    assert_eq!(first.members[0].username, "ann");
    assert_eq!(first.members[0].role(), v1::MemberRole::Owner);
    assert_eq!(second.members[0].username, "bob");
    assert_eq!(second.next_page_token, "");

    bob.say("#secret", "x").await.unwrap();
    let request = bob.by(v1::ListConversationsRequest::default());
    let conversations = bob.chat.list_conversations(request).await.unwrap();
    let of_bob = conversations.into_inner().conversations;
    assert_eq!(of_bob.len(), 1);
    assert_eq!((of_bob[0].last_seq, of_bob[0].read_seq), (3, 2));
    assert_eq!(of_bob[0].kind(), v1::ConversationKind::Room);
    let request = bob.by(v1::LeaveRoomRequest {
        request_id: id(),
        room: "#secret".into(),
    });
    assert_eq!(
        bob.chat.leave_room(request).await.unwrap().into_inner().seq,
        4
    );
    assert_eq!(
        reason(&bob.say("#secret", "x").await.unwrap_err()),
        "UNKNOWN_ROOM"
    );
}

#[tokio::test]
async fn changes_of_a_room_reach_those_they_concern_and_then_count() {
    use v1::change_room_request::Change;
    let replica = Replica::start().await;
    let mut ann = replica.person("ann").await;
    let mut bob = replica.person("bob").await;
    let room_id = ann.create_room("#tea", false).await.unwrap();
    bob.join("#tea").await.unwrap();
    let mut of_bob = bob.feed(0).await;
    messages(&mut of_bob, 1).await;
    let kick = Change::Kick("bob".into());
    assert_eq!(
        reason(&bob.change("#tea", Some(kick.clone())).await.unwrap_err()),
        "ROLE_MAY_NOT"
    );
    assert_eq!(
        reason(&ann.change("#tea", None).await.unwrap_err()),
        "INVALID_CHANGE"
    );
    let topic = Change::Topic("leaves".into());
    assert_eq!(ann.change("#tea", Some(topic)).await.unwrap(), 3);
    let rename = Change::Name("#Coffee".into());
    assert_eq!(ann.change("#tea", Some(rename)).await.unwrap(), 4);
    let ban = Change::Ban("bob".into());
    assert_eq!(ann.change("#coffee", Some(ban)).await.unwrap(), 5);
    ann.say("#coffee", "not for bob").await.unwrap();
    bob.send(&id(), "bob", "to himself").await.unwrap();
    let seen = messages(&mut of_bob, 4).await;
    let told: Vec<_> = seen
        .iter()
        .map(|message| (message.kind(), &*message.body, &*message.subject))
        .collect();
    assert_eq!(
        told,
        [
            (v1::MessageKind::Topic, "leaves", ""),
            (v1::MessageKind::Renamed, "#Coffee", ""),
            (v1::MessageKind::Banned, "", "bob"),
            (v1::MessageKind::Text, "to himself", ""),
        ]
    );
    assert_eq!(reason(&bob.join("#coffee").await.unwrap_err()), "BANNED");
    let request = ann.by(v1::ListBansRequest {
        room: "#coffee".into(),
        ..v1::ListBansRequest::default()
    });
    let bans = ann.chat.list_bans(request).await.unwrap().into_inner().bans;
    assert_eq!((&*bans[0].username, &*bans[0].banned_by), ("bob", "ann"));
    assert_eq!(
        reason(&ann.change("#coffee", Some(kick)).await.unwrap_err()),
        "UNKNOWN_MEMBER"
    );
    let step_down = Change::Role(v1::MemberRoleChange {
        username: "ann".into(),
        role: v1::MemberRole::Member.into(),
    });
    assert_eq!(
        reason(&ann.change("#coffee", Some(step_down)).await.unwrap_err()),
        "LAST_OWNER"
    );
    let archive = Change::Archive(true);
    assert_eq!(ann.change("#coffee", Some(archive)).await.unwrap(), 7);
    assert_eq!(
        reason(&ann.say("#coffee", "x").await.unwrap_err()),
        "UNKNOWN_ROOM"
    );
    let history = v1::ListMessagesRequest {
        conversation_id: room_id,
        ..v1::ListMessagesRequest::default()
    };
    let page = ann.room_page(history).await.unwrap();
    assert_eq!(
        page.messages.last().unwrap().kind(),
        v1::MessageKind::Archived
    );
    let request = ann.by(v1::ListConversationsRequest::default());
    let listed = ann.chat.list_conversations(request).await.unwrap();
    assert!(listed.into_inner().conversations[0].archived);
}
