//! The choices of a person. The configuration makes them, and commands change some.

use crate::keymap::Keymap;

/// The way in which a notification is shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Notify {
    #[default]
    Off,
    /// By the terminal, which gets OSC 9: iTerm2, kitty, Windows Terminal and others.
    Osc9,
    /// By the terminal, which gets OSC 777: foot, urxvt, VTE and others.
    Osc777,
    /// By the desktop, with `notify-send`.
    Desktop,
}

/// The choices of the person, from the configuration and from commands.
#[derive(Debug, Clone)]
pub struct Settings {
    pub keymap: Keymap,
    /// Show emoji as their `:names:`.
    pub emoji_names: bool,
    /// Ring the bell for direct messages and mentions.
    pub bell: bool,
    /// Show notifications for them.
    pub notify: Notify,
    /// The hours in which nothing rings, from and to, in minutes of the day.
    pub quiet_hours: Option<(u32, u32)>,
    /// Tell others that the person is writing.
    pub tells_writing: bool,
    /// Let Esc leave typing, and letters move and cut, as in vi.
    pub vi: bool,
    /// Let the mouse wheel scroll from the start on.
    pub mouse: bool,
    /// Show times in UTC, in place of the zone of the machine.
    pub is_utc: bool,
    /// Makes the id of a message, a UUID in text form.
    pub new_id: fn() -> String,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            keymap: Keymap::default(),
            emoji_names: false,
            bell: true,
            notify: Notify::Off,
            quiet_hours: None,
            tells_writing: true,
            vi: false,
            mouse: false,
            is_utc: false,
            new_id: || tercet_client::new_request_id().to_string(),
        }
    }
}
