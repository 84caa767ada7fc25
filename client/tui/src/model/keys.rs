//! The handling of keys and pasted text.

use super::{Effect, Mode, Model};
use crate::bindings::Action;
use crate::conversation::Scroll;
use crate::key::{Code, Key};
use crate::keymap::Found;

impl Model {
    pub(super) fn key(&mut self, key: Key, effects: &mut Vec<Effect>) {
        match self.mode {
            Mode::Login(_) => return self.login_key(key, effects),
            Mode::Pick(_) => return self.picker_key(key, effects),
            Mode::Cluster => return self.cluster_key(key, effects),
            Mode::Chat => {}
        }
        if self.settings.vi && self.pressed.is_empty() && self.vi_key(key, effects) {
            return;
        }
        if let (Code::Char(digit @ '1'..='9'), true, false) = (key.code, key.alt, key.ctrl) {
            let place = digit as usize - '1' as usize;
            let name = self
                .conversations
                .values()
                .nth(place)
                .map(|one| one.name.clone());
            return match name {
                Some(name) => self.open(&name, effects),
                None => self.tell(format!("there is no conversation {digit}")),
            };
        }
        self.pressed.push(key);
        let found = self.settings.keymap.find(&self.pressed);
        if found == Found::Begins {
            return;
        }
        let was_sequence = self.pressed.len() > 1;
        self.pressed.clear();
        match found {
            Found::Action(action) => self.act(action, effects),
            _ if was_sequence => {}
            _ => {
                self.type_key(key);
                if matches!(self.mode, Mode::Chat) && !self.input.is_empty() {
                    self.tell_writing(effects);
                }
            }
        }
    }

    fn type_key(&mut self, key: Key) {
        let Some(c) = key.typed() else {
            return;
        };
        if c == '?' && self.input.is_empty() {
            return self.open_help("");
        }
        self.completion = None;
        self.quits = false;
        self.input.insert(c.encode_utf8(&mut [0; 4]));
        // A command says what it needs while it is written.
        self.hint();
    }

    /// Shows the arguments of the command that is being written.
    fn hint(&mut self) {
        let text = self.input.text();
        let Some(word) = text
            .strip_prefix('/')
            .and_then(|rest| rest.strip_suffix(' '))
        else {
            return;
        };
        let known = super::command_list::COMMANDS
            .iter()
            .find(|(name, ..)| *name == word);
        if let Some((name, arguments, help)) = known {
            self.tell(format!("/{name} {arguments}: {help}"));
        }
    }

    pub(super) fn paste(&mut self, text: &str) {
        if matches!(self.mode, Mode::Login(_)) {
            return self.login_paste(text);
        }
        if let Mode::Pick(picker) = &mut self.mode {
            let line = text.lines().next().unwrap_or_default().to_owned();
            return picker.typed_changed(|typed| typed.push_str(&line));
        }
        let text = text.replace("\r\n", "\n").replace('\r', "\n");
        // The server takes no other control characters.
        let text: String = text
            .chars()
            .filter(|c| !c.is_control() || matches!(c, '\n' | '\t'))
            .collect();
        self.completion = None;
        self.input.insert(&text);
        let lines = text.trim_end_matches('\n').lines().count();
        if lines > 1 {
            self.tell(format!(
                "pasted {lines} lines: Enter sends them as one message, C-_ takes them back"
            ));
        }
    }

    #[allow(clippy::too_many_lines, reason = "one line for each action")]
    pub(super) fn act(&mut self, action: Action, effects: &mut Vec<Effect>) {
        if !matches!(action, Action::Complete | Action::CompleteBack) {
            self.completion = None;
        }
        if action != Action::Quit {
            self.quits = false;
        }
        let input = &mut self.input;
        match action {
            Action::Send => self.submit(effects),
            Action::NewLine => input.insert("\n"),
            Action::Home if input.is_empty() => self.scroll_by(i32::MAX, effects),
            Action::End if input.is_empty() => self.scroll_to_bottom(),
            Action::Home => input.line_start(),
            Action::End => input.line_end(),
            Action::LineStart => input.line_start(),
            Action::LineEnd => input.line_end(),
            Action::CharLeft => input.left(),
            Action::CharRight => input.right(),
            Action::WordLeft => input.word_left(),
            Action::WordRight => input.word_right(),
            Action::DeleteBack => input.delete_back(),
            Action::DeleteForward => input.delete_forward(),
            Action::KillToStart => input.kill_to_start(),
            Action::KillToEnd => input.kill_to_end(),
            Action::KillWordBack => input.kill_word_back(),
            Action::KillPartBack => input.kill_part_back(),
            Action::KillWordForward => input.kill_word_forward(),
            Action::Yank => input.yank(),
            Action::YankPop => input.yank_pop(),
            Action::Transpose => input.transpose(),
            Action::Undo => input.undo(),
            Action::Complete => {
                self.complete(false);
                self.ask_for_names(effects);
            }
            Action::CompleteBack => self.complete(true),
            Action::Earlier => self.earlier(),
            Action::Later => self.later(),
            Action::SearchSent => self.open_sent(),
            Action::EditLast => self.edit_by_key(),
            Action::Reply => _ = self.begin_reply(),
            Action::SelectUp => self.select(true, effects),
            Action::SelectDown => self.select(false, effects),
            Action::Thread => _ = self.open_thread(effects),
            Action::Links => self.open_links(),
            Action::Mentions => effects.push(Effect::Mentions),
            Action::AllUnread => self.open_unread(),
            Action::Copy => _ = self.copy_last(effects),
            Action::Editor => effects.push(Effect::OpenEditor(self.input.text().to_owned())),
            Action::PageUp => self.scroll_by(self.page(), effects),
            Action::PageDown => self.scroll_by(-self.page(), effects),
            Action::ToTop => self.scroll_by(i32::MAX, effects),
            Action::ToBottom => self.scroll_to_bottom(),
            Action::Next => self.step(1, effects),
            Action::Previous => self.step(-1, effects),
            Action::NextActive => self.next_active(effects),
            Action::Unread => _ = self.mark_unread(None, effects),
            Action::Jump => self.open_jump(effects),
            Action::Help => self.open_help(""),
            Action::Members => self.toggle_members(effects),
            Action::Cluster => self.open_cluster(effects),
            Action::Mouse => self.set_mouse(!self.has_mouse, effects),
            Action::Repaint => effects.push(Effect::Repaint),
            Action::Suspend => effects.push(Effect::Suspend),
            Action::Cancel => self.cancel(effects),
            Action::Quit => self.quit(effects),
        }
    }

    fn cancel(&mut self, effects: &mut Vec<Effect>) {
        if self.notice.take().is_some() {
            return;
        }
        if self.end_aim() {
            return;
        }
        let mut was_selected = false;
        self.opened_mut(|open| was_selected = open.selected.take().is_some());
        if was_selected {
            return;
        }
        let is_up = self
            .opened()
            .is_some_and(|open| open.scroll != Scroll::Bottom);
        if is_up {
            return self.scroll_to_bottom();
        }
        if self.leave_thread() {
            return;
        }
        let me = self.me.clone();
        let mut was_unread = 0;
        self.opened_mut(|open| {
            was_unread = open.unread;
            open.new_after = None;
            if was_unread > 0 {
                open.read_all(&me);
            }
        });
        if was_unread > 0 {
            effects.push(Effect::Save);
            self.tell("marked as read".to_owned());
        }
    }

    /// Leaves; with text in the input only when the key is pressed twice.
    fn quit(&mut self, effects: &mut Vec<Effect>) {
        if self.input.is_empty() || self.quits {
            return effects.push(Effect::Quit);
        }
        self.quits = true;
        self.tell(
            "there is text that was not sent: once more leaves, and keeps it as a draft".to_owned(),
        );
    }

    fn earlier(&mut self) {
        if self.input.has_lines() && self.input.up() {
            return;
        }
        let sent = &self.recall.sent;
        let (back, kept) = match self.recall.at.take() {
            Some((back, kept)) => (back + 1, kept),
            None => (1, self.input.text().to_owned()),
        };
        let back = back.min(sent.len());
        if back > 0 {
            let text = sent[sent.len() - back].clone();
            self.input.set(&text);
            self.recall.at = Some((back, kept));
        }
    }

    fn later(&mut self) {
        if self.input.has_lines() && self.input.down() {
            return;
        }
        match self.recall.at.take() {
            Some((1, kept)) => self.input.set(&kept),
            Some((back, kept)) => {
                let text = self.recall.sent[self.recall.sent.len() + 1 - back].clone();
                self.input.set(&text);
                self.recall.at = Some((back - 1, kept));
            }
            None => {}
        }
    }

    fn picker_key(&mut self, key: Key, effects: &mut Vec<Effect>) {
        let half = isize::try_from(self.rows / 2).unwrap_or(10);
        let Mode::Pick(picker) = &mut self.mode else {
            return;
        };
        let control = match key.code {
            Code::Char(c) if key.ctrl => Some(c),
            _ => None,
        };
        match (key.code, control) {
            (Code::Esc, _) | (_, Some('c' | 'g')) => self.mode = Mode::Chat,
            (Code::Enter, _) => self.choose(effects),
            (Code::Up, _) | (_, Some('p')) => picker.move_by(-1),
            (Code::Down | Code::Tab, _) | (_, Some('n' | 'r')) => picker.move_by(1),
            (Code::PageUp, _) => picker.move_by(-half),
            (Code::PageDown, _) => picker.move_by(half),
            (Code::Home, _) => picker.move_by(isize::MIN / 2),
            (Code::End, _) => picker.move_by(isize::MAX / 2),
            (Code::Backspace, _) => picker.typed_changed(|typed| _ = typed.pop()),
            (_, Some('u' | 'w')) => picker.typed_changed(String::clear),
            (_, Some('l')) => effects.push(Effect::Repaint),
            (_, Some('z')) => effects.push(Effect::Suspend),
            _ => {
                if let Some(c) = key.typed() {
                    picker.typed_changed(|typed| typed.push(c));
                }
            }
        }
    }

    fn cluster_key(&mut self, key: Key, effects: &mut Vec<Effect>) {
        match key.code {
            Code::Char('l') if key.ctrl => effects.push(Effect::Repaint),
            Code::Char('z') if key.ctrl => effects.push(Effect::Suspend),
            _ => {
                self.mode = Mode::Chat;
                effects.push(Effect::WatchCluster(false));
            }
        }
    }
}
