//! Questions to a person on a terminal. Each is a future that may be dropped at any moment, by a signal for
//! example; the terminal is then as it was.

use std::io::{self, PipeReader, Write as _};
use std::os::fd::AsFd as _;
use std::thread;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr,
};
use tokio::sync::oneshot;

use crate::failure::Failure;
use crate::plain_text::harmless;

/// A terminal gives at most 4,095 bytes of a line.
const LINE_BYTES_MAX: usize = 4096;
/// The value of a special character of a terminal that is switched off (`_POSIX_VDISABLE`).
const DISABLED: u8 = 0;

/// Asks a question; gives the answer without surrounding spaces, or `None` if the person ended the input
/// (Ctrl-D).
///
/// # Errors
/// When the terminal cannot be read.
pub async fn ask(question: &str) -> Result<Option<String>, Failure> {
    let answer = answer(question).await?;
    Ok(answer.map(|answer| answer.trim().to_owned()))
}

/// Asks for a secret, which is not shown while it is typed.
///
/// # Errors
/// When the terminal cannot be read.
pub async fn ask_hidden(question: &str) -> Result<Option<String>, Failure> {
    let hidden = Hidden::from_now_on();
    let answer = answer(question).await;
    drop(hidden);
    answer
}

async fn answer(question: &str) -> Result<Option<String>, Failure> {
    loop {
        show(question);
        let line = read_line().await;
        let Some(line) = line.map_err(|error| Failure::io("read the terminal", &error))? else {
            show("\n");
            return Ok(None);
        };
        match String::from_utf8(line) {
            Ok(line) => return Ok(Some(line)),
            Err(_) => show("That is not UTF-8.\n"),
        }
    }
}

fn show(text: &str) {
    let mut stderr = io::stderr().lock();
    let written = stderr.write_all(harmless(text).as_bytes());
    let _ = written.and_then(|()| stderr.flush()); // nobody may be reading it
}

/// Reads one line of the terminal; `None` at the end of input. It reads no more than the terminal gives for
/// one line, so that the next reader finds the next. A dropped future reads nothing more.
async fn read_line() -> io::Result<Option<Vec<u8>>> {
    let (given_up, wanted) = io::pipe()?;
    let (to_asker, line) = oneshot::channel();
    thread::spawn(move || {
        let _ = to_asker.send(wait_for_line(&given_up)); // the asker may be gone
    });
    let line = line.await;
    drop(wanted); // lives as long as this future
    line.unwrap_or(Ok(None))
}

/// Waits for a line; `None` once the other end of the pipe is closed.
fn wait_for_line(given_up: &PipeReader) -> io::Result<Option<Vec<u8>>> {
    let stdin = rustix::stdio::stdin();
    let mut line = Vec::new();
    loop {
        let mut asked = [
            PollFd::from_borrowed_fd(stdin, PollFlags::IN),
            PollFd::from_borrowed_fd(given_up.as_fd(), PollFlags::IN),
        ];
        match poll(&mut asked, None) {
            Err(Errno::INTR) => continue,
            polled => polled?,
        };
        if !asked[1].revents().is_empty() {
            return Ok(None);
        }
        let mut bytes = [0; LINE_BYTES_MAX];
        let count = rustix::io::read(stdin, &mut bytes)?;
        if count == 0 {
            return Ok(None);
        }
        line.extend_from_slice(&bytes[..count]);
        if line.last() == Some(&b'\n') {
            line.pop();
            return Ok(Some(line));
        }
        if line.len() > LINE_BYTES_MAX {
            return Err(io::Error::other("the line is too long"));
        }
    }
}

/// While this value exists, the terminal shows nothing of the typed text but the end of the line.
struct Hidden {
    before: Option<Termios>,
}

impl Hidden {
    fn from_now_on() -> Hidden {
        let before = tcgetattr(io::stdin().as_fd()).ok();
        if let Some(before) = &before {
            let mut hidden = before.clone();
            hidden.local_modes.remove(LocalModes::ECHO);
            hidden.local_modes.insert(LocalModes::ECHONL);
            // A process that was stopped, or dumped its core, would leave a silent terminal behind.
            for code in [SpecialCodeIndex::VQUIT, SpecialCodeIndex::VSUSP] {
                hidden.special_codes[code] = DISABLED;
            }
            let _ = tcsetattr(io::stdin().as_fd(), OptionalActions::Drain, &hidden);
        }
        Hidden { before }
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            let _ = tcsetattr(io::stdin().as_fd(), OptionalActions::Drain, before);
        }
    }
}
