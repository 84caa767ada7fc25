//! Tests of the chat: each gives inputs and compares the actions.

use tercet_client::{Event, Message, SentMessage};

use super::*;
use tercet_types::limits::BODY_BYTES_MAX;

fn standing() -> App {
    let mut app = App::new();
    let subscribed = Event::Subscribed {
        cursor: 10,
        replica: 1,
        resumed: false,
        account_id: 7,
    };
    let actions = app.handle(Input::Event(subscribed));
    assert_eq!(actions, [Action::FetchWaiting]);
    let messages = Vec::new();
    let last = true;
    assert_eq!(app.handle(Input::Waiting { messages, last }), []);
    app
}

fn line(app: &mut App, text: &str) -> Vec<Action> {
    app.handle(Input::Line(text.to_owned()))
}

fn send(to: &str, body: &str) -> Action {
    let (to, body) = (to.to_owned(), body.to_owned());
    Action::Send { to, body }
}

fn message(id: &str, cursor: u64) -> Message {
    Message {
        message_id: id.to_owned(),
        cursor,
        sender: "bob".to_owned(),
        body: "hi".to_owned(),
        ..Message::default()
    }
}

fn to_bob() -> App {
    let mut app = standing();
    line(&mut app, "/to bob");
    app
}

fn sent(to: &str, body: &str, instant: bool) -> Input {
    Input::Sent {
        to: to.to_owned(),
        body: body.to_owned(),
        result: Ok(SentMessage {
            message_id: "s1".to_owned(),
            instant,
            ..SentMessage::default()
        }),
    }
}

#[test]
fn text_goes_to_whom_was_chosen_whatever_stands_in_it() {
    let mut app = standing();
    for text in ["hello", "bob: hello"] {
        let actions = line(&mut app, text);
        assert!(matches!(&actions[..], [Action::Failed(text)] if text.contains("/to NAME")));
    }
    line(&mut app, "/to bob");
    assert_eq!(app.prompt(), "bob> ");
    for text in ["carol: is impossible", "http://x: y", " @carol /to carol"] {
        assert_eq!(line(&mut app, text), [send("bob", text)]);
    }
    assert_eq!(line(&mut app, "/msg carol a: b"), [send("carol", "a: b")]);
    assert_eq!(line(&mut app, "again to"), [send("bob", "again to")]);
}

#[test]
fn pasted_lines_are_one_text_and_no_commands() {
    let mut app = to_bob();
    let text = "/quit\n/to carol\nthree";
    assert_eq!(line(&mut app, &format!("{text}\n")), [send("bob", text)]);
    assert_eq!(line(&mut app, "/quit\n"), [send("bob", "/quit")]);
    assert_eq!(line(&mut app, "after it"), [send("bob", "after it")]);
}

#[test]
fn two_slashes_send_one() {
    let mut app = to_bob();
    assert_eq!(line(&mut app, "//quit now"), [send("bob", "/quit now")]);
    assert_eq!(line(&mut app, "///"), [send("bob", "//")]);
}

#[test]
fn a_command_that_is_none_is_told_and_not_sent() {
    let mut app = to_bob();
    for (typed, known) in [
        ("/qiut", "/quit"),
        ("/hsitory x", "/history"),
        ("/tot a", "/to"),
    ] {
        let actions = line(&mut app, typed);
        assert!(
            matches!(&actions[..], [Action::Failed(text)] if text.contains(known)),
            "{actions:?}"
        );
    }
    let actions = line(&mut app, "/etc/passwd");
    assert!(matches!(&actions[..], [Action::Failed(text)] if text.contains("/help")));
    let actions = line(&mut app, "/quit smoking");
    assert!(matches!(&actions[..], [Action::Failed(_)]));
    assert!(!app.has_ended());
}

#[test]
fn a_message_above_the_limit_is_told_and_loses_nothing_else() {
    let mut app = to_bob();
    let most = "x".repeat(BODY_BYTES_MAX);
    assert_eq!(line(&mut app, &most), [send("bob", &most)]);
    let actions = line(&mut app, &format!("{most}x"));
    assert!(matches!(&actions[..], [Action::Failed(text)] if text.contains("16384")));
    let bad = app.handle(Input::BadLine("line 3 is not UTF-8".to_owned()));
    assert!(matches!(&bad[..], [Action::Failed(text)] if text.contains("line 3")));
    assert_eq!(line(&mut app, "more"), [send("bob", "more")]);
    assert_eq!(app.failures(), 2);
}

#[test]
fn what_the_server_has_is_shown_as_sent() {
    let mut app = to_bob();
    line(&mut app, "hi");
    let shown = app.handle(sent("bob", "hi", true));
    assert!(
        matches!(&shown[..], [Action::Show(Shown::Sent(m))] if m.body == "hi" && m.recipient == "bob")
    );
}

#[test]
fn a_history_says_whose_each_message_is() {
    let mut app = to_bob();
    assert_eq!(
        line(&mut app, "/history"),
        [Action::History("bob".to_owned())]
    );
    let of = |sender: &str| Message {
        sender: sender.to_owned(),
        ..Message::default()
    };
    let (peer, result) = ("bob".to_owned(), Ok(vec![of("ann"), of("Bob")]));
    let shown = app.handle(Input::History { peer, result });
    let mine: Vec<_> = shown
        .iter()
        .map(|action| matches!(action, Action::Show(Shown::Past { mine: true, .. })))
        .collect();
    assert_eq!(mine, [true, false]);
}

#[test]
fn commands_ask_for_what_they_name() {
    let mut app = standing();
    assert_eq!(line(&mut app, "/who"), [Action::Who("*".to_owned())]);
    assert_eq!(line(&mut app, "/who a*"), [Action::Who("a*".to_owned())]);
    let history = Action::History("bob".to_owned());
    assert_eq!(line(&mut app, "/history bob"), [history]);
    let wrong = line(&mut app, "/history two words");
    assert!(matches!(&wrong[..], [Action::Failed(_)]));
    assert!(matches!(&line(&mut app, "/dance")[..], [Action::Failed(_)]));
}

#[test]
fn a_block_of_this_chat_is_told_once_and_one_of_another_device_too() {
    let mut app = standing();
    let name = "Bob".to_owned();
    let block = true;
    assert_eq!(
        line(&mut app, "/block Bob"),
        [Action::Block { name, block }]
    );
    let event = |blocked, refuse| {
        Input::Event(Event::BlockChanged {
            cursor: 11,
            username: "bob".to_owned(),
            blocked,
            refuse,
        })
    };
    assert_eq!(app.handle(event(true, false)), []);
    let answer = app.handle(Input::BlockAnswered(Ok("it is blocked".to_owned())));
    assert_eq!(answer, [Action::Notice("it is blocked".to_owned())]);
    for (blocked, refuse) in [(true, true), (false, false)] {
        let told = app.handle(event(blocked, refuse));
        assert!(matches!(&told[..], [Action::Notice(text)] if text.contains("bob is")));
    }
    let wrong = line(&mut app, "/unblock");
    assert!(matches!(&wrong[..], [Action::Failed(_)]));
}

#[test]
fn quit_leaves_once_all_is_sent() {
    let mut app = standing();
    assert_eq!(line(&mut app, "/msg bob bye"), [send("bob", "bye")]);
    assert_eq!(line(&mut app, "/quit"), []);
    assert_eq!(line(&mut app, "/msg bob too late"), []);
    let actions = app.handle(sent("bob", "bye", true));
    assert_eq!(actions.last(), Some(&Action::Quit));
}

#[test]
fn a_message_is_acknowledged_after_it_is_printed() {
    let mut app = standing();
    let actions = app.handle(Input::Event(Event::Message(message("m1", 11))));
    let acknowledge = Action::Acknowledge(vec!["m1".to_owned()]);
    let shown = Action::Show(Shown::Received(message("m1", 11)));
    assert_eq!(actions, [shown, acknowledge]);
}

#[test]
fn what_waits_and_also_comes_by_the_subscription_is_shown_once() {
    let mut app = App::new();
    app.handle(Input::Event(Event::Subscribed {
        cursor: 10,
        replica: 1,
        resumed: false,
        account_id: 7,
    }));
    let messages = vec![message("old", 9), message("new", 11)];
    let last = true;
    let actions = app.handle(Input::Waiting { messages, last });
    let acknowledge = Action::Acknowledge(vec!["old".to_owned()]);
    let shown = Action::Show(Shown::Received(message("old", 9)));
    assert_eq!(actions, [shown, acknowledge]);
}

#[test]
fn the_end_of_input_waits_for_all_that_is_pending() {
    let mut app = standing();
    line(&mut app, "/msg bob one");
    line(&mut app, "/msg bob two");
    assert_eq!(app.handle(Input::NoMoreLines), []);
    let answered = sent("bob", "one", true);
    assert!(!app.handle(answered.clone()).contains(&Action::Quit));
    assert!(app.handle(answered).contains(&Action::Quit));
}

#[test]
fn the_end_of_input_before_the_connection_stands_still_shows_what_waits() {
    let mut app = App::new();
    assert_eq!(app.handle(Input::NoMoreLines), []);
    let subscribed = Event::Subscribed {
        cursor: 10,
        replica: 1,
        resumed: false,
        account_id: 7,
    };
    assert_eq!(app.handle(Input::Event(subscribed)), [Action::FetchWaiting]);
    let messages = vec![message("m", 3)];
    let last = true;
    let actions = app.handle(Input::Waiting { messages, last });
    assert!(matches!(
        &actions[..],
        [Action::Show(_), Action::Acknowledge(_)]
    ));
    assert_eq!(app.handle(Input::Acknowledged(Ok(()))), [Action::Quit]);
}

#[test]
fn a_failover_is_told() {
    let mut app = standing();
    let why = "transport error".to_owned();
    let lost = app.handle(Input::Event(Event::Lost { why }));
    assert!(matches!(&lost[..], [Action::Notice(text)] if text.contains("connection lost")));
    let resumed = app.handle(Input::Event(Event::Subscribed {
        cursor: 10,
        replica: 2,
        resumed: true,
        account_id: 7,
    }));
    assert_eq!(resumed, [Action::Notice("resumed at replica 2".to_owned())]);
}

#[test]
fn a_refused_message_is_told_and_counted() {
    let mut app = standing();
    line(&mut app, "/msg nobody hello");
    let actions = app.handle(Input::Sent {
        to: "nobody".to_owned(),
        body: "hello".to_owned(),
        result: Err("no such account".to_owned()),
    });
    assert!(matches!(&actions[..], [Action::Failed(text)] if text.contains("nobody")));
    assert_eq!(app.failures(), 1);
}

#[test]
fn an_own_message_is_shown_once_whichever_comes_first() {
    let own = |id: &str, cursor| Message {
        sender_id: 7,
        recipient_id: 8,
        ..message(id, cursor)
    };
    let answer = |cursor| Input::Sent {
        to: "bob".to_owned(),
        body: "hi".to_owned(),
        result: Ok(SentMessage {
            message_id: "s1".to_owned(),
            cursor,
            instant: true,
            ..SentMessage::default()
        }),
    };
    let event = |message| Input::Event(Event::Message(message));
    // The answer, then the event.
    let mut app = to_bob();
    line(&mut app, "hi");
    let answered = app.handle(answer(11));
    assert!(matches!(&answered[..], [Action::Show(Shown::Sent(_))]));
    assert_eq!(app.handle(event(own("s1", 11))), []);
    // The event first, and with it one of another device.
    line(&mut app, "hi");
    assert_eq!(app.handle(event(own("other", 12))), []);
    assert_eq!(app.handle(event(own("s1", 13))), []);
    let answered = app.handle(answer(13));
    let other = Action::Show(Shown::Sent(own("other", 12)));
    assert!(
        matches!(&answered[0], Action::Show(Shown::Sent(message)) if message.message_id == "s1")
    );
    assert_eq!(answered[1..], [other]);
    // Without a send of this chat.
    let shown = Action::Show(Shown::Sent(own("more", 14)));
    assert_eq!(app.handle(event(own("more", 14))), [shown]);
}
