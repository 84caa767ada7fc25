//! Tests with random input of persons, files and servers: each input is accepted or gives an error, and the
//! chat ends.

use std::collections::VecDeque;

use proptest::{collection::vec, prelude::*, sample::select};
use tercet_client::{Account, Event, Hit, Message, Replicas, SentMessage};

use crate::app::{Action, App, Input};
use crate::messages::message_text;
use crate::session::SessionFile;

fn config(cases: u32) -> ProptestConfig {
    let default = ProptestConfig::default();
    ProptestConfig {
        cases: default.cases.max(cases),
        ..default
    }
}

fn part() -> impl Strategy<Value = String> {
    let odd = [
        "",
        "1=",
        "=",
        "1=a:0",
        "1=a:65536",
        "1=[::1]:1",
        "1=[:1",
        "4294967296=a:1",
        "1=:1",
    ];
    prop_oneof![
        4 => "[1-9]=[a-z.]{1,5}:[1-9]{1,4}",
        2 => select(odd.to_vec()).prop_map(String::from),
        1 => any::<String>(),
    ]
}

fn message() -> impl Strategy<Value = Message> {
    (
        any::<u64>(),
        any::<i64>(),
        any::<String>(),
        any::<String>(),
        any::<bool>(),
    )
        .prop_map(
            |(cursor, sent_at_ms, sender, body, sender_deleted)| Message {
                message_id: cursor.to_string(),
                cursor,
                sender,
                body,
                sent_at_ms,
                sender_deleted,
                ..Message::default()
            },
        )
}

/// An event of a chat; requests are answered oldest first.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "few of them exist at a time")]
enum Happening {
    Line(String),
    Event(Event),
    Answer { good: bool, messages: Vec<Message> },
    StillLost,
}

fn happening() -> impl Strategy<Value = Happening> {
    let subscribed =
        (any::<u64>(), any::<u32>(), any::<bool>()).prop_map(|(cursor, replica, resumed)| {
            Event::Subscribed {
                cursor,
                replica,
                resumed,
                account_id: 7,
            }
        });
    let dropped =
        (any::<u64>(), any::<String>(), any::<u64>()).prop_map(|(cursor, recipient, count)| {
            Event::Dropped {
                cursor,
                recipient,
                count,
            }
        });
    let block_changed =
        (any::<String>(), any::<bool>(), any::<bool>()).prop_map(|(username, blocked, refuse)| {
            Event::BlockChanged {
                cursor: 1,
                username,
                blocked,
                refuse,
            }
        });
    let edited = message().prop_map(|message| Event::Edited { cursor: 1, message });
    let deleted = (message(), any::<String>()).prop_map(|(message, deleted_by)| Event::Deleted {
        cursor: 1,
        message,
        deleted_by,
    });
    let reaction = (any::<String>(), any::<String>(), any::<bool>()).prop_map(
        |(username, reaction, removed)| Event::Reaction {
            cursor: 1,
            conversation: "#tea".to_owned(),
            seq: 1,
            username,
            reaction,
            removed,
            count: 1,
        },
    );
    let read = any::<String>().prop_map(|username| Event::Read {
        cursor: 1,
        conversation: "#tea".to_owned(),
        conversation_id: 1,
        username,
        account_id: 2,
        read_seq: 3,
    });
    let event = prop_oneof![
        read,
        edited,
        deleted,
        reaction,
        block_changed,
        subscribed,
        dropped,
        message().prop_map(Event::Message),
        any::<String>().prop_map(|why| Event::Lost { why }),
    ];
    let line = prop_oneof![
        "/{1,2}(to|msg|who|history|block|unblock|edit|delete|react|help|quit|)[ a-z*:]{0,8}",
        "[a-z/]{1,4}: ?[ -~\n]{0,8}",
        any::<String>(),
    ];
    prop_oneof![
        4 => line.prop_map(Happening::Line),
        3 => event.prop_map(Happening::Event),
        4 => (any::<bool>(), vec(message(), 0..3))
            .prop_map(|(good, messages)| Happening::Answer { good, messages }),
        1 => Just(Happening::StillLost),
    ]
}

/// Gives the answer to a request; `None` for an action without one.
fn answered(request: Action, good: bool, messages: Vec<Message>) -> Option<Input> {
    let refused = || String::from("refused");
    Some(match request {
        Action::Send { to, body } => {
            let result = if good {
                Ok(SentMessage::default())
            } else {
                Err(refused())
            };
            Input::Sent { to, body, result }
        }
        Action::FetchWaiting => Input::Waiting {
            messages,
            last: true,
        },
        Action::Who(_) => {
            let account = |message: Message| Account {
                username: message.sender,
                ..Account::default()
            };
            let accounts = messages.into_iter().map(account).collect();
            let result = if good { Ok(accounts) } else { Err(refused()) };
            Input::Accounts { result, more: good }
        }
        Action::History(peer) => {
            let result = if good { Ok(messages) } else { Err(refused()) };
            Input::History { peer, result }
        }
        Action::Search(_) => {
            let hit = |message| Hit {
                message,
                spans: Vec::new(),
            };
            let hits = messages.into_iter().map(hit).collect();
            let result = if good { Ok(hits) } else { Err(refused()) };
            Input::Found { result, more: good }
        }
        Action::Block { .. } => Input::BlockAnswered(if good {
            Ok(String::new())
        } else {
            Err(refused())
        }),
        Action::Change { .. } => Input::Changed(if good { Ok(()) } else { Err(refused()) }),
        Action::Acknowledge(_) => Input::Acknowledged(if good { Ok(()) } else { Err(refused()) }),
        Action::Show(_) | Action::Notice(_) | Action::Failed(_) | Action::Quit => return None,
    })
}

/// Drives the state of a chat, and keeps the requests.
#[derive(Default)]
struct Talk {
    app: App,
    asked: VecDeque<Action>,
    quits: usize,
}

impl Talk {
    fn happen(&mut self, input: Input) {
        for action in self.app.handle(input) {
            match action {
                Action::Show(_) | Action::Notice(_) | Action::Failed(_) => {}
                Action::Quit => self.quits += 1,
                request => self.asked.push_back(request),
            }
        }
        assert_eq!(
            self.app.pending(),
            self.asked.len(),
            "what is asked is pending"
        );
    }

    fn answer(&mut self, good: bool, messages: Vec<Message>) {
        let request = self.asked.pop_front();
        if let Some(input) = request.and_then(|request| answered(request, good, messages)) {
            self.happen(input);
        }
    }
}

proptest! {
    #![proptest_config(config(500))]

    #[test]
    fn any_chat_ends_once_everything_is_answered(happenings in vec(happening(), 0..60)) {
        let mut talk = Talk::default();
        for happening in happenings {
            match happening {
                Happening::Line(line) => talk.happen(Input::Line(line)),
                Happening::Event(event) => talk.happen(Input::Event(event)),
                Happening::Answer { good, messages } => talk.answer(good, messages),
                Happening::StillLost => talk.happen(Input::StillLost("no route".into())),
            }
        }
        let stands = Event::Subscribed { cursor: 1, replica: 1, resumed: true, account_id: 7 };
        talk.happen(Input::Event(stands));
        talk.happen(Input::NoMoreLines);
        while !talk.asked.is_empty() {
            talk.answer(true, Vec::new());
        }
        prop_assert_eq!(talk.quits, 1);
    }

    #[test]
    fn any_list_of_replicas_is_one_or_an_error(parts in vec(part(), 0..5)) {
        let text = parts.join(",");
        match text.parse::<Replicas>() {
            Ok(list) => {
                prop_assert!(list.len() >= 1);
                prop_assert_eq!(list.to_string().parse(), Ok(list));
            }
            Err(error) => prop_assert!(!error.to_string().is_empty()),
        }
    }

    #[test]
    fn any_message_is_shown_on_lines_of_its_own(message in message()) {
        let shown = message_text(&message);
        let lines = message.body.matches('\n').count() + message.sender.matches('\n').count();
        prop_assert_eq!(shown.matches('\n').count(), lines);
    }
}

proptest! {
    #![proptest_config(config(200))]

    #[test]
    fn any_session_file_is_read_or_named(
        bytes in prop_oneof![
            vec(any::<u8>(), 0..100),
            "\\{\"last\":(null|\"a\"|7),\"sessions\":\\{(\"a\":\\{[a-z\":,0-9]{0,40}\\})?\\}\\}"
                .prop_map(String::into_bytes),
        ],
    ) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sessions.json");
        std::fs::write(&path, &bytes).unwrap();
        let file = SessionFile::locate(Some(path.clone())).unwrap();
        for name in [None, Some("a")] {
            if let Err(error) = file.find("x", name) {
                prop_assert!(error.to_string().contains(path.to_str().unwrap()));
            }
        }
        // A change that cannot be made leaves what is there.
        if file.drop_session("x", "a").is_err() {
            prop_assert_eq!(std::fs::read(&path).unwrap(), bytes);
        }
    }
}
