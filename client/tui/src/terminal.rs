//! The terminal: it is taken over, drawn on, and given back as it was, whatever ends the program.

use std::io::{self, Stdout, Write as _};
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::{env, panic};

use base64::Engine as _;
use crossterm::event::{
    DisableBracketedPaste, DisableFocusChange, DisableMouseCapture, EnableBracketedPaste,
    EnableFocusChange, EnableMouseCapture, Event, EventStream, KeyEventKind, MouseEventKind,
};
use crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use crossterm::{cursor, execute};
use rustix::process::{Signal, getpid, kill_process};
use tercet_types::plain_text::harmless;
use tokio::sync::Notify as Bell;
use tokio::time::{Duration, Instant, timeout_at};
use tokio_stream::StreamExt as _;

use crate::key::{Code, Key};
use crate::model::{Event as ModelEvent, Model, Notify};
use crate::screen::Screen;
use crate::view::{self, Theme};

/// The time in which a key may follow Esc to mean Alt and that key: terminals send both bytes at once, networks may not.
const ESC_TIMEOUT: Duration = Duration::from_millis(40);
/// Keep the title of the window, and take it back.
const PUSH_TITLE: &str = "\x1b[22;0t";
const POP_TITLE: &str = "\x1b[23;0t";
/// The most bytes that are copied to the clipboard: terminals take no more.
const COPIED_BYTES_MAX: usize = 74_994;
/// The lines that one step of the mouse wheel scrolls.
const WHEEL_LINES: i32 = 3;

/// Whether the terminal is taken over, so that the hook for panics gives it back once.
static IS_TAKEN: AtomicBool = AtomicBool::new(false);

/// Rings when a thread has panicked, and the terminal is given back.
static PANICKED: Bell = Bell::const_new();

/// Waits until a thread of the program has panicked: a task, perhaps, without which the rest goes on.
pub async fn panicked() {
    PANICKED.notified().await;
}

/// The terminal while the chat owns it. Dropping it gives the terminal back.
pub struct Terminal {
    screen: Screen<Stdout>,
    /// `None` while others read the keys: its thread would take them.
    keys: Option<EventStream>,
    /// An event that was read and not handed out yet.
    next: Option<Event>,
    /// When Esc was pressed, while a key may follow that belongs to it.
    esc: Option<Instant>,
    theme: Theme,
    title: String,
    has_mouse: bool,
}

impl Terminal {
    /// Takes the terminal over.
    ///
    /// # Errors
    /// When stdin or stdout is no terminal that can be used.
    pub fn take_over() -> io::Result<Terminal> {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |panicked| {
            give_back();
            before(panicked);
            PANICKED.notify_one();
        }));
        enter()?;
        Ok(Terminal {
            screen: Screen::new(io::stdout()),
            keys: Some(EventStream::new()),
            next: None,
            esc: None,
            theme: Theme::of_environment(),
            title: String::new(),
            has_mouse: false,
        })
    }

    /// Returns the columns and rows.
    ///
    /// # Errors
    /// When the terminal does not tell.
    pub fn size(&self) -> io::Result<(u16, u16)> {
        crossterm::terminal::size()
    }

    /// Draws the model: what has changed since the last time.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub fn draw(&mut self, model: &Model) -> io::Result<()> {
        let theme = self.theme;
        let size = (model.columns, model.rows);
        self.screen
            .draw(size, |frame| view::draw_frame(model, &theme, frame))?;
        let title = harmless(&model.title()).replace('\n', " ");
        if title != self.title {
            send(&format!("\x1b]0;{title}\x07"))?;
            if is_in_tmux() {
                send(&format!("\x1bk{title}\x1b\\"))?;
            }
            self.title = title;
        }
        Ok(())
    }

    /// Forgets what the screen shows, so that the next frame is drawn whole.
    pub fn repaint(&mut self) {
        self.screen.forget();
    }

    /// Waits for the next event of the terminal; `None` when it is gone. The future may be dropped: no event is lost.
    pub async fn next(&mut self) -> Option<ModelEvent> {
        loop {
            if let Some(event) = self.next.take() {
                if let Some(event) = self.event(event) {
                    return Some(event);
                }
                continue;
            }
            let keys = self.keys.as_mut()?;
            let Some(since) = self.esc else {
                self.next = Some(keys.next().await?.ok()?);
                continue;
            };
            let next = timeout_at(since + ESC_TIMEOUT, keys.next()).await;
            self.esc = None;
            let esc = Key::plain(Code::Esc);
            let Ok(next) = next else {
                return Some(ModelEvent::Key(esc));
            };
            let next = next?.ok()?;
            if let Event::Key(key) = &next
                && let Some(key) = Key::of(key).filter(|key| !key.alt && *key != esc)
            {
                return Some(ModelEvent::Key(key.with_alt()));
            }
            self.next = Some(next);
            return Some(ModelEvent::Key(esc));
        }
    }

    fn event(&mut self, event: Event) -> Option<ModelEvent> {
        match event {
            Event::Key(key) if key.kind == KeyEventKind::Release => None,
            Event::Key(key) => {
                let key = Key::of(&key)?;
                if key == Key::plain(Code::Esc) {
                    self.esc = Some(Instant::now());
                    return None;
                }
                Some(ModelEvent::Key(key))
            }
            Event::Paste(text) => Some(ModelEvent::Paste(text)),
            Event::Resize(columns, rows) => Some(ModelEvent::Resize { columns, rows }),
            Event::FocusGained => Some(ModelEvent::Focus(true)),
            Event::FocusLost => Some(ModelEvent::Focus(false)),
            Event::Mouse(mouse) => match mouse.kind {
                MouseEventKind::ScrollUp => Some(ModelEvent::Wheel(WHEEL_LINES)),
                MouseEventKind::ScrollDown => Some(ModelEvent::Wheel(-WHEEL_LINES)),
                _ => None,
            },
        }
    }

    /// Takes the mouse, or leaves it to the terminal.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub fn mouse(&mut self, on: bool) -> io::Result<()> {
        self.has_mouse = on;
        if on {
            execute!(io::stdout(), EnableMouseCapture)
        } else {
            execute!(io::stdout(), DisableMouseCapture)
        }
    }

    /// Rings the bell.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub fn bell(&self) -> io::Result<()> {
        send("\x07")
    }

    /// Shows a notification.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub fn notify(&self, how: Notify, title: &str, body: &str) -> io::Result<()> {
        let harmless = |text: &str| harmless(text).replace('\n', " ");
        let (title, body) = (harmless(title), harmless(body));
        match how {
            Notify::Off => Ok(()),
            Notify::Osc9 => send(&format!("\x1b]9;{title}: {body}\x07")),
            // A semicolon ends the title.
            Notify::Osc777 => send(&format!(
                "\x1b]777;notify;{};{body}\x07",
                title.replace(';', ",")
            )),
            Notify::Desktop => {
                let mut command = tokio::process::Command::new("notify-send");
                command.args(["--app-name=tercet", "--", &title, &body]);
                command.stdin(Stdio::null()).stdout(Stdio::null());
                // Without the program there is no notification, as without a desktop.
                if let Ok(mut child) = command.stderr(Stdio::null()).spawn() {
                    tokio::spawn(async move { child.wait().await });
                }
                Ok(())
            }
        }
    }

    /// Copies a text to the clipboard of the terminal (OSC 52).
    ///
    /// # Errors
    /// When the terminal is gone.
    pub fn copy(&self, text: &str) -> io::Result<()> {
        let text = &text.as_bytes()[..text.len().min(COPIED_BYTES_MAX)];
        let text = base64::engine::general_purpose::STANDARD.encode(text);
        send(&format!("\x1b]52;c;{text}\x07"))
    }

    /// Opens a link with the desktop, or copies it where there is none. Returns what was done, in words.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub fn open_link(&self, link: &str) -> io::Result<String> {
        let is_set = |name| env::var_os(name).is_some_and(|value| !value.is_empty());
        let program = if cfg!(target_os = "macos") {
            Some("open")
        } else if is_set("DISPLAY") || is_set("WAYLAND_DISPLAY") {
            Some("xdg-open")
        } else {
            None
        };
        if let Some(program) = program {
            let mut command = tokio::process::Command::new(program);
            command.arg(link).stdin(Stdio::null()).stdout(Stdio::null());
            if let Ok(mut child) = command.stderr(Stdio::null()).spawn() {
                tokio::spawn(async move { child.wait().await });
                return Ok(format!("opening {link}"));
            }
        }
        self.copy(link)?;
        Ok(format!("copied, for there is no desktop here: {link}"))
    }

    /// Gives the terminal back until the shell continues this process.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub fn suspend(&mut self) -> io::Result<()> {
        self.leave();
        kill_process(getpid(), Signal::TSTP)?;
        self.come_back()
    }

    /// Opens the person's editor on a text, and returns what it was when the editor ended.
    ///
    /// # Errors
    /// When the editor cannot be started or fails, or its file cannot be used.
    pub async fn edit(&mut self, text: &str) -> io::Result<String> {
        let mut file = tempfile::Builder::new()
            .prefix("tercet-")
            .suffix(".txt")
            .tempfile()?;
        file.write_all(text.as_bytes())?;
        file.flush()?;
        let named = |name| {
            env::var(name)
                .ok()
                .filter(|value: &String| !value.trim().is_empty())
        };
        let editor = named("VISUAL")
            .or_else(|| named("EDITOR"))
            .unwrap_or_else(|| "vi".to_owned());
        self.leave();
        let ended = tokio::process::Command::new("sh")
            .args(["-c", &format!("{editor} \"$1\""), "sh"])
            .arg(file.path())
            .status()
            .await;
        self.come_back()?;
        let ended = ended?;
        if !ended.success() {
            return Err(io::Error::other(format!(
                "{editor} ended with {ended}: the text is as it was"
            )));
        }
        std::fs::read_to_string(file.path())
    }

    fn leave(&mut self) {
        self.keys = None;
        give_back();
    }

    fn come_back(&mut self) -> io::Result<()> {
        enter()?;
        self.keys = Some(EventStream::new());
        if self.has_mouse {
            execute!(io::stdout(), EnableMouseCapture)?;
        }
        self.title.clear();
        self.repaint();
        Ok(())
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        give_back();
    }
}

/// Tells whether the terminal is a window of tmux, which has a name of its own.
fn is_in_tmux() -> bool {
    env::var_os("TMUX").is_some_and(|socket| !socket.is_empty())
}

fn send(sequence: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(sequence.as_bytes())?;
    stdout.flush()
}

fn enter() -> io::Result<()> {
    IS_TAKEN.store(true, Ordering::SeqCst);
    enable_raw_mode()?;
    let mut stdout = io::stdout();
    stdout.write_all(PUSH_TITLE.as_bytes())?;
    execute!(
        stdout,
        EnterAlternateScreen,
        EnableBracketedPaste,
        EnableFocusChange
    )
}

/// Gives the terminal back as it was. Does nothing if it is not taken over.
fn give_back() {
    if !IS_TAKEN.swap(false, Ordering::SeqCst) {
        return;
    }
    let mut stdout = io::stdout();
    // The terminal may be gone: then nobody sees what fails here.
    let _ = execute!(
        stdout,
        DisableMouseCapture,
        DisableFocusChange,
        DisableBracketedPaste,
        LeaveAlternateScreen,
        cursor::Show
    );
    let _ = stdout.write_all(POP_TITLE.as_bytes());
    if is_in_tmux() {
        // The empty name lets tmux name the window again.
        let _ = stdout.write_all(b"\x1bk\x1b\\");
    }
    let _ = stdout.flush();
    let _ = disable_raw_mode();
}

/// Tells whether a full screen can be drawn: stdin and stdout are terminals that know more than lines.
#[must_use]
pub fn is_capable() -> bool {
    use std::io::IsTerminal as _;
    let term = env::var("TERM").unwrap_or_default();
    let knows_more = !matches!(&*term, "" | "dumb");
    knows_more && io::stdin().is_terminal() && io::stdout().is_terminal()
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::{env, fs, thread};

    use portable_pty::{CommandBuilder, PtySize, native_pty_system};
    use rustix::termios::{LocalModes, tcgetattr};

    use super::*;

    #[test]
    #[ignore = "it is a part of the next one, which gives it a terminal"]
    fn the_chat_of_the_next_test() {
        let terminal = Terminal::take_over().unwrap();
        let panicking = thread::spawn(|| panic!("on purpose"));
        panicking.join().unwrap_err();
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        // The chat would end now.
        runtime.unwrap().block_on(panicked());
        drop(terminal);
    }

    #[test]
    fn a_panic_of_any_thread_gives_the_terminal_back_and_ends_the_chat() {
        let pair = native_pty_system().openpty(PtySize::default()).unwrap();
        let mut command = CommandBuilder::new(env::current_exe().unwrap());
        command.args(["--ignored", "--exact", "--nocapture"]);
        command.arg("terminal::tests::the_chat_of_the_next_test");
        command.env("TERM", "xterm-256color");
        let tty = fs::File::options()
            .read(true)
            .write(true)
            .open(pair.master.tty_name().unwrap())
            .unwrap();
        let mut child = pair.slave.spawn_command(command).unwrap();
        let mut output = pair.master.try_clone_reader().unwrap();
        let read = thread::spawn(move || {
            let (mut shown, mut chunk) = (Vec::new(), [0; 4096]);
            // The end is an error, too.
            while let Ok(count @ 1..) = output.read(&mut chunk) {
                shown.extend_from_slice(&chunk[..count]);
            }
            String::from_utf8_lossy(&shown).into_owned()
        });
        assert!(child.wait().unwrap().success());
        let modes = tcgetattr(&tty).unwrap().local_modes;
        assert!(modes.contains(LocalModes::ECHO | LocalModes::ICANON));
        drop((tty, pair));
        let shown = read.join().unwrap();
        let place = |text: &str| {
            shown
                .find(text)
                .unwrap_or_else(|| panic!("{text:?}: {shown}"))
        };
        assert!(place("\x1b[?1049h") < place("\x1b[?1049l"));
        for off in ["\x1b[?1049l", "\x1b[?2004l", "\x1b[?1004l", "\x1b[?25h"] {
            assert!(place(off) < place("on purpose"), "{off:?}");
        }
        assert_eq!(shown.matches("\x1b[?1049l").count(), 1, "once is enough");
    }
}
