//! The cost of a frame: the time from an event to the drawn frame, and the bytes that go to the terminal.
//!
//! `cargo bench -p tercet-tui` prints a table. Nothing is judged: machines differ.

use std::cell::Cell;
use std::io::{self, Write};
use std::rc::Rc;
use std::time::{Duration, Instant};

use tercet_client::{HistoryPage, Message};
use tercet_tui::model::{Event, Model, Net, Settings};
use tercet_tui::view::{self, Theme};
use tercet_tui::{Cache, Key, Screen};

const COLUMNS: u16 = 120;
const ROWS: u16 = 40;
const CONVERSATIONS: u64 = 200;
const MESSAGES: u64 = 10_000;
const START_MS: i64 = 1_795_860_000_000;

/// A terminal that counts what is written to it.
#[derive(Clone, Default)]
struct Counter(Rc<Cell<usize>>);

impl Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.set(self.0.get() + bytes.len());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Bench {
    model: Model,
    screen: Screen<Counter>,
    counter: Counter,
}

impl Bench {
    fn new(model: Model) -> Bench {
        let counter = Counter::default();
        Bench {
            model,
            screen: Screen::new(counter.clone()),
            counter,
        }
    }

    fn draw(&mut self) {
        let (model, theme) = (&self.model, Theme::new(true));
        let drawn = self.screen.draw((COLUMNS, ROWS), |frame| {
            view::draw_frame(model, &theme, frame)
        });
        drawn.expect("nothing fails");
    }

    /// Measures events: prints the times until the frame is drawn, and the bytes of the largest frame.
    fn measure(&mut self, what: &str, events: impl Iterator<Item = Event>) {
        let mut times = Vec::new();
        let mut largest = 0;
        for event in events {
            self.counter.0.set(0);
            let start = Instant::now();
            self.model.update(event, START_MS);
            self.model.update(Event::Frame, START_MS);
            self.draw();
            times.push(start.elapsed());
            largest = largest.max(self.counter.0.get());
        }
        print(what, times, largest);
    }
}

fn print(what: &str, mut times: Vec<Duration>, bytes: usize) {
    times.sort();
    let at = |part: usize| {
        times[(times.len() * part / 100).min(times.len() - 1)].as_secs_f64() * 1_000.0
    };
    println!(
        "{what:<44} {:>8.3} {:>8.3} {:>8.3} {bytes:>8}",
        at(50),
        at(99),
        at(100)
    );
}

fn message(cursor: u64, room: &str) -> Message {
    Message {
        message_id: format!("id-{room}-{cursor}"),
        cursor,
        sender: ["ann", "bob", "carol"][cursor as usize % 3].to_owned(),
        body: format!(
            "message {cursor} with *some* words, a 👍, 日本語 and https://example.org/{cursor}"
        ),
        sent_at_ms: START_MS + cursor as i64 * 1_000,
        conversation: room.to_owned(),
        conversation_id: 1,
        seq: cursor,
        ..Message::default()
    }
}

fn model() -> Model {
    let mut model = Model::new(Settings::default(), START_MS);
    let mut update = |event| _ = model.update(event, START_MS);
    update(Event::Resize {
        columns: COLUMNS,
        rows: ROWS,
    });
    update(Event::Net(Net::LoggedIn {
        name: "ann".to_owned(),
        is_new: false,
    }));
    update(Event::Net(Net::Connected {
        replica: 1,
        resumed: false,
        cursor: 1,
    }));
    for room in 0..CONVERSATIONS {
        let name = format!("#room-{room}");
        update(Event::Net(Net::Open(name.clone())));
        let count = if room == 0 { MESSAGES } else { 200 };
        let page = HistoryPage {
            messages: (1..=count).map(|cursor| message(cursor, &name)).collect(),
            ..HistoryPage::default()
        };
        update(Event::Net(Net::Page {
            name,
            is_older: false,
            page: Ok(page),
        }));
    }
    update(Event::Net(Net::Open("#room-0".to_owned())));
    model
}

fn key(name: &str) -> Event {
    Event::Key(name.parse::<Key>().expect("it is a key"))
}

fn main() {
    println!(
        "{:<44} {:>8} {:>8} {:>8} {:>8}",
        "to the drawn frame, ms", "p50", "p99", "max", "bytes"
    );
    let mut bench = Bench::new(model());
    bench.draw();
    bench.measure(
        "a typed character",
        (0..1_000).map(|at| key(if at % 7 == 0 { "Space" } else { "x" })),
    );
    bench.measure("a deleted character", (0..1_000).map(|_| key("Backspace")));
    let news = (0..1_000).map(|at| {
        Event::Net(Net::Message(Box::new(message(
            MESSAGES + 1 + at,
            "#room-0",
        ))))
    });
    bench.measure("a new message", news);
    bench.measure(
        "PageUp through 11,000 messages",
        (0..700).map(|_| key("PageUp")),
    );
    bench.measure("a typed character at the top", (0..200).map(|_| key("y")));
    bench.measure("another conversation", (0..200).map(|_| key("C-n")));
    bench.measure(
        "the list of everything (Ctrl-G), then Esc",
        (0..200).map(|at| key(if at % 2 == 0 { "C-g" } else { "Esc" })),
    );

    let directory = tempfile::tempdir().expect("make a directory");
    let mut cache = Cache::of(directory.path(), "cluster", "ann");
    cache
        .changes(&bench.model)
        .write()
        .expect("write the cache");
    let mut times = Vec::new();
    for _ in 0..50 {
        let start = Instant::now();
        let mut model = Model::new(Settings::default(), START_MS);
        model.update(
            Event::Resize {
                columns: COLUMNS,
                rows: ROWS,
            },
            START_MS,
        );
        assert!(Cache::of(directory.path(), "cluster", "ann").restore(&mut model));
        let mut bench = Bench::new(model);
        bench.draw();
        times.push(start.elapsed());
    }
    print("a start with 200 conversations in the cache", times, 0);
}
