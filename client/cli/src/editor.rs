//! A line editor for a chat on a terminal. While it exists, everything that the program prints is printed
//! above the line that is being typed; afterwards the terminal is as it was.
//!
//! Pasted text is no command: a paste of several lines is one line to the editor, with line endings inside
//! (bracketed paste).

use std::io::{self, IsTerminal as _, Write as _};
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc as blocking;
use std::thread;
use std::time::Duration;

use rustix::termios::{OptionalActions, QueueSelector, Termios, tcflush, tcgetattr, tcsetattr};
use rustyline::error::ReadlineError;
use rustyline::history::MemHistory;
use rustyline::{Config, Editor as Rustyline, ExternalPrinter};
use tokio::sync::mpsc;

use crate::output::{self, Print};

/// The number of earlier lines that the Up key reaches.
const HISTORY_LINES_MAX: usize = 500;
/// The time that the last printed text may take to reach the terminal at the end.
const DRAIN_TIMEOUT: Duration = Duration::from_millis(300);
/// The escape sequence that turns bracketed paste off.
const BRACKETED_PASTE_OFF: &str = "\x1b[?2004l";

/// The result of reading a line.
#[derive(Debug)]
pub enum Typed {
    /// A line without its end; a line with line endings inside was pasted.
    Line(String),
    /// The person pressed Ctrl-D or Ctrl-C.
    End,
    /// The terminal cannot be read; the text is the reason.
    Failed(String),
}

/// A line editor on the terminal.
pub struct Editor {
    typed: mpsc::Receiver<Typed>,
    /// The prompts: the editor waits for the next one before it reads another line.
    prompts: blocking::Sender<String>,
    printed: blocking::Sender<Print>,
    before: Termios,
    takes_a_line: Arc<AtomicBool>,
}

impl Editor {
    /// Starts the editor with the prompt of the first line; `None` if the terminal cannot be used: then
    /// lines are read as from a pipe.
    pub fn start(prompt: &str) -> Option<Editor> {
        if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
            return None;
        }
        let before = tcgetattr(io::stdin().as_fd()).ok()?;
        let config = Config::builder().max_history_size(HISTORY_LINES_MAX).ok()?;
        let config = config.bracketed_paste(true).build();
        let history = MemHistory::with_config(&config);
        let mut editor = Rustyline::<(), _>::with_history(config, history).ok()?;
        let printer = editor.create_external_printer().ok()?;

        // Printing may have to wait for the editor, so it has a thread of its own.
        let (printed, to_print) = blocking::channel();
        thread::spawn(move || print_all(printer, &to_print));
        output::divert(Some(printed.clone()));
        let (to_chat, typed) = mpsc::channel(1);
        let (prompts, next_prompt) = blocking::channel();
        let _ = prompts.send(prompt.to_owned()); // its receiver is here
        let takes_a_line = Arc::<AtomicBool>::default();
        let taking = takes_a_line.clone();
        thread::spawn(move || read_all(editor, &next_prompt, &to_chat, &taking));
        Some(Editor {
            typed,
            prompts,
            printed,
            before,
            takes_a_line,
        })
    }

    /// Waits for the next line. The future may be dropped and the call repeated.
    pub async fn next(&mut self) -> Typed {
        let typed = self.typed.recv().await;
        typed.unwrap_or_else(|| Typed::Failed("the line editor has ended".to_owned()))
    }

    /// Reads another line.
    pub fn go_on(&self, prompt: &str) {
        let _ = self.prompts.send(prompt.to_owned()); // an editor that ended takes none
    }
}

impl Drop for Editor {
    fn drop(&mut self) {
        output::divert(None);
        let (drained, is_drained) = blocking::channel();
        if self.printed.send(Print::Flush(drained)).is_ok() {
            let _ = is_drained.recv_timeout(DRAIN_TIMEOUT);
        }
        if self.takes_a_line.load(Ordering::SeqCst) {
            let mut stdout = io::stdout().lock();
            let _ = write!(stdout, "{BRACKETED_PASTE_OFF}\r\n").and_then(|()| stdout.flush());
        }
        let _ = tcsetattr(io::stdin().as_fd(), OptionalActions::Drain, &self.before);
        // What was typed ahead was meant for the chat, not for the shell.
        let _ = tcflush(io::stdin().as_fd(), QueueSelector::IFlush);
    }
}

fn read_all(
    mut editor: Rustyline<(), MemHistory>,
    prompts: &blocking::Receiver<String>,
    to_chat: &mpsc::Sender<Typed>,
    taking: &AtomicBool,
) {
    while let Ok(prompt) = prompts.recv() {
        let typed = loop {
            taking.store(true, Ordering::SeqCst);
            let line = editor.readline(&prompt);
            taking.store(false, Ordering::SeqCst);
            break match line {
                Ok(line) => {
                    if !line.trim().is_empty() {
                        let _ = editor.add_history_entry(&line); // a hint only
                    }
                    Typed::Line(line)
                }
                Err(ReadlineError::Eof | ReadlineError::Interrupted) => Typed::End,
                Err(ReadlineError::Signal(_)) => continue,
                Err(error) => Typed::Failed(error.to_string()),
            };
        };
        let is_last = !matches!(typed, Typed::Line(_));
        if to_chat.blocking_send(typed).is_err() || is_last {
            return;
        }
    }
}

fn print_all(mut printer: impl ExternalPrinter, to_print: &blocking::Receiver<Print>) {
    while let Ok(print) = to_print.recv() {
        match print {
            Print::Text(text) => {
                let _ = printer.print(text); // the terminal may be gone
            }
            Print::Flush(drained) => {
                let _ = drained.send(());
            }
        }
    }
}
