//! The form for a name and a password, on the first run and when a session has ended.

use tercet_types::name::{is_name, name_rule};

use super::{Effect, Mode, Model};
use crate::key::{Code, Key};

/// The lengths of a password, in bytes.
const PASSWORD_BYTES: std::ops::RangeInclusive<usize> = 8..=256;

/// The part of the form that has the keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    Name,
    Password,
    Again,
}

/// A name and a password that are being written.
#[derive(Clone)]
pub struct LoginForm {
    pub name: String,
    pub password: String,
    pub again: String,
    pub field: Field,
    /// Whether a new account is made.
    pub registers: bool,
    /// Whether the cluster has no accounts: then there is nobody to log in as.
    pub is_empty: bool,
    /// The error, or the next thing to do.
    pub why: String,
    /// Whether the cluster is being asked.
    pub is_busy: bool,
}

impl std::fmt::Debug for LoginForm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LoginForm")
            .field("name", &self.name)
            .field("field", &self.field)
            .field("registers", &self.registers)
            .finish_non_exhaustive()
    }
}

impl LoginForm {
    pub(super) fn new(name: &str, is_empty: bool, why: &str) -> LoginForm {
        LoginForm {
            name: name.to_owned(),
            password: String::new(),
            again: String::new(),
            field: if name.is_empty() {
                Field::Name
            } else {
                Field::Password
            },
            registers: is_empty,
            is_empty,
            why: why.to_owned(),
            is_busy: false,
        }
    }

    fn text(&mut self) -> &mut String {
        match self.field {
            Field::Name => &mut self.name,
            Field::Password => &mut self.password,
            Field::Again => &mut self.again,
        }
    }

    /// Moves to the next field; false after the last one.
    fn next(&mut self) -> bool {
        self.field = match self.field {
            Field::Name => Field::Password,
            Field::Password if self.registers => Field::Again,
            Field::Password | Field::Again => return false,
        };
        true
    }

    fn switch(&mut self) {
        self.registers = !self.registers || self.is_empty;
        self.again.clear();
        self.why.clear();
        if self.field == Field::Again {
            self.field = Field::Password;
        }
    }

    /// Returns what is wrong with the field that has the keys.
    fn check(&self) -> Result<(), String> {
        match self.field {
            Field::Name if !is_name(&self.name) => Err(format!("A name has {}.", name_rule())),
            Field::Password if self.registers && !PASSWORD_BYTES.contains(&self.password.len()) => {
                Err("A password has 8 to 256 bytes.".to_owned())
            }
            Field::Password if self.password.is_empty() => Err("Write the password.".to_owned()),
            Field::Again if self.again != self.password => {
                Err("The two passwords differ: write the second again.".to_owned())
            }
            _ => Ok(()),
        }
    }
}

impl Model {
    pub(super) fn login_key(&mut self, key: Key, effects: &mut Vec<Effect>) {
        let Mode::Login(form) = &mut self.mode else {
            return;
        };
        let ctrl = |c| Key {
            ctrl: true,
            ..Key::plain(Code::Char(c))
        };
        if key == ctrl('c') || key == ctrl('d') || key == ctrl('q') {
            return effects.push(Effect::Quit);
        }
        if key == ctrl('z') {
            return effects.push(Effect::Suspend);
        }
        if key == ctrl('l') {
            return effects.push(Effect::Repaint);
        }
        if form.is_busy {
            return;
        }
        match key.code {
            _ if key == ctrl('r') => form.switch(),
            _ if key == ctrl('u') => form.text().clear(),
            _ if key == ctrl('w') => form.text().clear(),
            Code::Backspace => _ = form.text().pop(),
            Code::Tab | Code::Down => {
                if !form.next() {
                    form.field = Field::Name;
                }
            }
            Code::BackTab | Code::Up => {
                form.field = match form.field {
                    Field::Name | Field::Password => Field::Name,
                    Field::Again => Field::Password,
                }
            }
            Code::Enter => self.submit_login(effects),
            _ => {
                if let Some(c) = key.typed().filter(|c| !c.is_control()) {
                    form.text().push(c);
                    form.why.clear();
                }
            }
        }
    }

    fn submit_login(&mut self, effects: &mut Vec<Effect>) {
        let Mode::Login(form) = &mut self.mode else {
            return;
        };
        if let Err(why) = form.check() {
            if form.field == Field::Again {
                form.again.clear();
            }
            form.why = why;
            return;
        }
        form.why.clear();
        if form.next() {
            return;
        }
        form.is_busy = true;
        let (name, password) = (form.name.clone(), form.password.clone());
        effects.push(if form.registers {
            Effect::Register { name, password }
        } else {
            Effect::Login { name, password }
        });
    }

    pub(super) fn login_failed(&mut self, why: String) {
        if let Mode::Login(form) = &mut self.mode {
            form.is_busy = false;
            form.why = why;
            form.password.clear();
            form.again.clear();
            form.field = Field::Name;
        }
    }

    pub(super) fn login_paste(&mut self, text: &str) {
        if let Mode::Login(form) = &mut self.mode {
            let line = text.lines().next().unwrap_or_default();
            form.text().push_str(line);
        }
    }
}
