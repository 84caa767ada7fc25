//! The passwords and tokens of a command, from an option, a variable, a file, a pipe or a prompt.

use std::fs;
use std::io::{self, IsTerminal as _, Read as _};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use tercet_types::limits::{PASSWORD_BYTES_MAX, PASSWORD_BYTES_MIN};

use super::connect::given;
use crate::failure::Failure;
use crate::lines::{BadLine, Lines};
use crate::output::notice;
use crate::prompt;

/// A password or a token has fewer bytes.
const SECRET_BYTES_MAX: usize = 4096;
const PASSWORD_BYTES: RangeInclusive<usize> = PASSWORD_BYTES_MIN..=PASSWORD_BYTES_MAX;

/// Gives a secret from a file, without the end of its line, or from the text. The file wins, because the
/// text may come from the environment.
pub fn secret(
    text: &Option<String>,
    file: &Option<PathBuf>,
    what: &str,
) -> Result<Option<String>, Failure> {
    let file = file.as_deref().filter(|file| !file.as_os_str().is_empty());
    let Some(file) = file else {
        return Ok(given(text).map(str::to_owned));
    };
    let line = if file == Path::new("-") {
        read_line()?
    } else {
        let mut text = String::new();
        let limit = SECRET_BYTES_MAX as u64;
        let read =
            fs::File::open(file).and_then(|opened| opened.take(limit).read_to_string(&mut text));
        let doing = format!("read {what} in {}", file.display());
        read.map_err(|error| Failure::io(&doing, &error))?;
        text.lines().next().map(str::to_owned)
    };
    let line = line.filter(|line| !line.is_empty());
    line.map(Some).ok_or_else(|| {
        let message = format!(
            "{} begins with an empty line: {what} is not there",
            file.display()
        );
        Failure::failed("EMPTY_FILE", message, "Write it into the first line.")
    })
}

/// The options that give a password.
#[derive(Debug, Clone, clap::Args)]
pub struct Password {
    /// The password; better given at a prompt, in a pipe, in a file or in the environment
    #[arg(
        long,
        env = "TERCET_PASSWORD",
        hide_env_values = true,
        allow_hyphen_values = true
    )]
    pub password: Option<String>,

    /// The file that has the password; `-` for standard input
    #[arg(long, value_name = "FILE", env = "TERCET_PASSWORD_FILE")]
    pub password_file: Option<PathBuf>,
}

impl Password {
    /// Gives the password from an option, a variable or a file.
    pub fn given(&self) -> Result<Option<String>, Failure> {
        secret(&self.password, &self.password_file, "the password")
    }

    /// Gives the password: from the options, from a prompt on a terminal (twice for a new one), or from the
    /// first line of stdin.
    pub async fn read(&self, question: &str, is_new: bool) -> Result<String, Failure> {
        if let Some(password) = self.given()? {
            return Ok(password);
        }
        let read = match (io::stdin().is_terminal(), is_new) {
            (true, true) => ask_new_password(question).await?,
            (true, false) => prompt::ask_hidden(&format!("{question}: ")).await?,
            (false, _) => read_line()?,
        };
        read.filter(|line| !line.is_empty()).ok_or_else(|| {
            let advice = "Give it by a prompt, the first line of stdin, --password-file or \
                          TERCET_PASSWORD.";
            Failure::failed("NO_PASSWORD", "no password is given", advice)
        })
    }
}

/// The options that give a new password.
#[derive(Debug, Clone, clap::Args)]
pub struct NewPassword {
    /// The new password; better given at a prompt, in a pipe, in a file or in the environment
    #[arg(
        long,
        env = "TERCET_NEW_PASSWORD",
        hide_env_values = true,
        allow_hyphen_values = true
    )]
    pub new_password: Option<String>,

    /// The file that has the new password; `-` for standard input
    #[arg(long, value_name = "FILE", env = "TERCET_NEW_PASSWORD_FILE")]
    pub new_password_file: Option<PathBuf>,
}

impl NewPassword {
    /// Gives the new password: from the options, from a prompt on a terminal, twice, or from the next line
    /// of stdin.
    pub async fn read(&self, question: &str) -> Result<String, Failure> {
        let text = &self.new_password;
        if let Some(password) = secret(text, &self.new_password_file, "the new password")? {
            return Ok(password);
        }
        let read = if io::stdin().is_terminal() {
            ask_new_password(question).await?
        } else {
            read_line()?
        };
        read.filter(|line| !line.is_empty()).ok_or_else(|| {
            let advice = "Give it by a prompt, the line of stdin after the old password, \
                          --new-password-file or TERCET_NEW_PASSWORD.";
            Failure::failed("NO_PASSWORD", "no new password is given", advice)
        })
    }
}

/// Asks for a new password until both answers are equal; `None` if the person ended the input.
pub async fn ask_new_password(question: &str) -> Result<Option<String>, Failure> {
    let rule = format!("A password has {PASSWORD_BYTES_MIN} to {PASSWORD_BYTES_MAX} bytes.");
    notice(&rule);
    loop {
        let Some(password) = prompt::ask_hidden(&format!("{question}: ")).await? else {
            return Ok(None);
        };
        if !PASSWORD_BYTES.contains(&password.len()) {
            let bytes = password.len();
            notice(&format!("That has {bytes} bytes. {rule} Again:"));
            continue;
        }
        match prompt::ask_hidden("The same again: ").await? {
            None => return Ok(None),
            Some(again) if again == password => return Ok(Some(password)),
            Some(_) => notice("The two differ. Again:"),
        }
    }
}

/// Reads one line of stdin without its end; `None` at the end of input.
pub fn read_line() -> Result<Option<String>, Failure> {
    let line = Lines::new(io::stdin().lock(), SECRET_BYTES_MAX).next_line();
    let line = line.map_err(|error| Failure::io("read stdin", &error))?;
    let refused = |bad: BadLine| Failure::failed("BAD_INPUT", bad.to_string(), "");
    line.transpose().map_err(refused)
}
