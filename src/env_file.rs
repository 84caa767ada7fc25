//! Settings from a `.env` file, in this directory or the nearest one above: what is set in the
//! environment already wins. The file is checked whole before any of it counts, and an error names
//! the line, never what stands there: it may be a secret.

use std::{env, fmt, fs, path::PathBuf};

const NAME: &str = ".env";

/// A file that cannot be used.
#[derive(Debug)]
pub(crate) struct EnvFileError {
    path: PathBuf,
    /// From 1 on; absent when the file cannot be read at all.
    line: Option<usize>,
    what: String,
}

impl fmt::Display for EnvFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())?;
        match self.line {
            Some(line) => write!(f, ", line {line}: {}", self.what),
            None => write!(f, ": {}", self.what),
        }
    }
}

/// Puts the file's settings into the environment.
///
/// # Errors
/// When there is a file, and it cannot be read or a line of it means nothing.
pub(crate) fn load() -> Result<(), EnvFileError> {
    let directory = env::current_dir().unwrap_or_default();
    let mut candidates = directory.ancestors().map(|above| above.join(NAME));
    let Some(path) = candidates.find(|path| path.is_file()) else {
        return Ok(());
    };
    let failed = |line, what: &dyn fmt::Display| EnvFileError {
        path: path.clone(),
        line,
        what: what.to_string(),
    };
    let bytes = fs::read(&path).map_err(|error| failed(None, &error))?;
    let text = checked(&bytes).map_err(|(line, what)| failed(Some(line), &what))?;
    dotenvy::from_read(text.as_bytes()).map_err(|_| failed(None, &"cannot be read"))
}

/// The text, when every line of it is a setting, a comment or empty; else the first line that is
/// none, and what is wrong with it.
fn checked(bytes: &[u8]) -> Result<String, (usize, &'static str)> {
    let line_at = |at: usize| 1 + bytes[..at].iter().filter(|&&byte| byte == b'\n').count();
    let text = match str::from_utf8(bytes) {
        Ok(text) => text.strip_prefix('\u{feff}').unwrap_or(text),
        Err(error) => return Err((line_at(error.valid_up_to()), "is not UTF-8")),
    };
    if let Some(at) = bytes.iter().position(|&byte| byte == 0) {
        return Err((line_at(at), "has a NUL, which no setting can have"));
    }
    // Without the last line's end a space before it would be an error.
    let text = format!("{text}\n");
    for setting in dotenvy::from_read_iter(text.as_bytes()) {
        match setting {
            Ok(_) => {}
            Err(dotenvy::Error::LineParse(line, _)) => {
                let what = "is not NAME=VALUE, or a quote in it is not closed";
                return Err((line_of(&text, &line), what));
            }
            Err(_) => return Err((1, "cannot be read")),
        }
    }
    Ok(text)
}

/// The number of the line that begins with `wrong`, which ends there or goes on with a comment.
fn line_of(text: &str, wrong: &str) -> usize {
    let ends = |rest: &str| rest.is_empty() || rest.starts_with(['\n', '\r', '#']);
    let mut start = 0;
    for (number, line) in (1..).zip(text.split_inclusive('\n')) {
        if text[start..].strip_prefix(wrong).is_some_and(ends) {
            return number;
        }
        start += line.len();
    }
    1
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn wrong(text: &str) -> usize {
        checked(text.as_bytes()).expect_err("wrong").0
    }

    #[test]
    fn settings_comments_and_blanks_are_taken() {
        let text = "\u{feff}# a comment\n\nexport A=1\r\nB='two words' # why\nC=\"x\ny\"\nD=4 ";
        let text = checked(text.as_bytes()).expect("right");
        let settings = dotenvy::from_read_iter(text.as_bytes());
        let settings: Vec<_> = settings.map(|setting| setting.expect("right").0).collect();
        assert_eq!(settings, ["A", "B", "C", "D"]);
    }

    #[test]
    fn a_wrong_line_is_named_and_not_shown() {
        assert_eq!(wrong("A=1\nTERCET_PEER_SECRET\nB=2\n"), 2);
        assert_eq!(wrong("A=1\n\n# fine\nB='never closed\nC=3\n"), 4);
        assert_eq!(wrong("AB=1\nA B\n"), 2);
        assert_eq!(wrong("secret=1\nsecret # no value\n"), 2);
        let error = EnvFileError {
            path: NAME.into(),
            line: Some(2),
            what: checked(b"A=1\nhush").expect_err("wrong").1.into(),
        };
        assert!(error.to_string().starts_with(".env, line 2: "));
        assert!(!error.to_string().contains("hush"));
    }

    #[test]
    fn a_nul_in_a_value_is_an_error_and_no_panic() {
        assert_eq!(wrong("A=1\nB=x\0y\n"), 2);
    }

    #[test]
    fn a_line_that_is_not_utf8_is_named() {
        assert_eq!(checked(b"A=1\nB=\xff\n"), Err((2, "is not UTF-8")));
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases.max(2_000), ..ProptestConfig::default() })]

        #[test]
        fn any_file_is_taken_or_a_line_of_it_is_named(
            lines in vec(
                prop_oneof![
                    "[A-Z]{1,3} ?= ?[a-z $\\\\{}\"'#]{0,12}".prop_map(String::into_bytes),
                    "[ #='\"A-Za-z\\\\$\\r]{0,12}".prop_map(String::into_bytes),
                    vec(any::<u8>(), 0..30),
                ],
                0..8,
            ),
        ) {
            let bytes = lines.join(&b'\n');
            match checked(&bytes) {
                Ok(text) => {
                    for setting in dotenvy::from_read_iter(text.as_bytes()) {
                        let (name, value) = setting.expect("it was checked");
                        prop_assert!(!name.is_empty() && !name.contains(['=', '\0']));
                        prop_assert!(!value.contains('\0'));
                    }
                }
                Err((line, _)) => {
                    prop_assert!(line >= 1 && line <= 1 + bytes.iter().filter(|&&b| b == b'\n').count());
                }
            }
        }
    }
}
