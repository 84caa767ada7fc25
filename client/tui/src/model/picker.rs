//! The list in a box: jumps, help, members and answers. What is typed filters its rows.

use super::{Choice, Effect, Mode, Model};
use crate::fuzzy::best;

/// The time for which the names of accounts and rooms are fresh, in milliseconds.
const NAMES_MS: i64 = 30_000;

/// A list that something is chosen from.
#[derive(Debug, Clone)]
pub struct Picker {
    pub title: String,
    rows: Vec<(String, Choice)>,
    /// The text that filters the rows.
    pub typed: String,
    /// The places of the rows that match, the best first.
    matching: Vec<usize>,
    pub selected: usize,
}

impl Picker {
    fn new(title: &str, rows: Vec<(String, Choice)>) -> Picker {
        let mut picker = Picker {
            title: title.to_owned(),
            rows,
            typed: String::new(),
            matching: Vec::new(),
            selected: 0,
        };
        picker.refresh();
        picker
    }

    pub(super) fn refresh(&mut self) {
        let texts = self.rows.iter().map(|(text, _)| &**text);
        self.matching = best(&self.typed, texts);
        self.selected = 0;
    }

    /// Returns the rows that match.
    pub fn shown(&self) -> impl ExactSizeIterator<Item = &str> {
        self.matching.iter().map(|at| &*self.rows[*at].0)
    }

    pub(super) fn typed_changed(&mut self, change: impl FnOnce(&mut String)) {
        change(&mut self.typed);
        self.refresh();
    }

    pub(super) fn move_by(&mut self, by: isize) {
        let last = self.matching.len().saturating_sub(1) as isize;
        self.selected = (self.selected as isize + by).clamp(0, last) as usize;
    }

    fn chosen(&self) -> Option<Choice> {
        let at = self.matching.get(self.selected)?;
        Some(self.rows[*at].1.clone())
    }
}

impl Model {
    pub(super) fn pick(&mut self, title: &str, rows: Vec<(String, Choice)>) {
        self.mode = Mode::Pick(Picker::new(title, rows));
    }

    /// Asks before something is done that cannot be undone.
    pub(super) fn confirm(&mut self, question: &str, yes: &str, effect: Effect) {
        let rows = vec![
            ("No: nothing changes".to_owned(), Choice::Nothing),
            (format!("Yes: {yes}"), Choice::Do(effect)),
        ];
        self.pick(question, rows);
    }

    /// Puts everything that one can go to on the screen.
    pub(super) fn open_jump(&mut self, effects: &mut Vec<Effect>) {
        self.ask_for_names(effects);
        let mut rows: Vec<(String, Choice)> = Vec::new();
        for one in self.conversations.values() {
            let count = if one.unread > 0 {
                format!("  ({} unread)", one.unread)
            } else {
                String::new()
            };
            rows.push((
                format!("{}{count}", one.name),
                Choice::Open(one.name.clone()),
            ));
        }
        let is_new = |name: &&String| {
            !self
                .conversations
                .contains_key(&crate::conversation::key(name))
        };
        for name in self.people.iter().filter(is_new) {
            rows.push((format!("{name}  (person)"), Choice::Open(name.clone())));
        }
        let is_joined = |name: &&String| {
            self.conversations
                .contains_key(&crate::conversation::key(name))
        };
        for name in self.rooms_to_join.iter().filter(|name| !is_joined(name)) {
            rows.push((format!("{name}  (join)"), Choice::Join(name.clone())));
        }
        for (name, _, help) in super::command_list::COMMANDS {
            rows.push((
                format!("/{name}  {help}"),
                Choice::Insert(format!("/{name} ")),
            ));
        }
        self.pick("Go to: write a part of a name", rows);
    }

    /// Asks for the names of accounts and rooms, if that is long ago: there may be new ones.
    pub(super) fn ask_for_names(&mut self, effects: &mut Vec<Effect>) {
        if self.now_ms - self.asked_at_ms >= NAMES_MS {
            self.asked_at_ms = self.now_ms;
            effects.push(Effect::People);
        }
    }

    /// Puts what was sent before on the screen, the newest first.
    pub(super) fn open_sent(&mut self) {
        let mut rows = Vec::new();
        for text in self.recall.sent.iter().rev() {
            let row = (crate::text::one_line(text), Choice::Insert(text.clone()));
            if !rows.contains(&row) {
                rows.push(row);
            }
        }
        self.pick("What you sent before", rows);
    }

    pub(super) fn choose(&mut self, effects: &mut Vec<Effect>) {
        let Mode::Pick(picker) = &self.mode else {
            return;
        };
        let chosen = picker.chosen();
        self.mode = Mode::Chat;
        match chosen {
            None | Some(Choice::Nothing) => {}
            Some(Choice::Open(name)) => self.open(&name, effects),
            Some(Choice::Join(name)) => effects.push(Effect::Join {
                name,
                may_create: false,
            }),
            Some(Choice::Insert(text)) => self.input.set(&text),
            Some(Choice::Message { name, cursor }) => self.show_message(&name, cursor, effects),
            Some(Choice::Do(effect)) => self.carry_out(effect, effects),
        }
    }
}
