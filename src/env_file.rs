//! The settings of a `.env` file in the directory in which `tercet` is started; the environment wins over
//! them. Only lines that set a variable `TERCET_…` count, each by itself: the file may be another
//! program's. The whole file is checked before any line counts, and no text shows the content of a line: it
//! may be a secret.

use std::{collections::BTreeSet, env, fmt, fs, io, path::Path};

const NAME: &str = ".env";
const PREFIX: &str = "TERCET_";

/// A fault of the file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct EnvFileError {
    /// The number of the line, from 1; `None` if the file cannot be read at all.
    line: Option<usize>,
    what: String,
}

impl fmt::Display for EnvFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{NAME}, line {line}: {}", self.what),
            None => write!(f, "{NAME}: {}", self.what),
        }
    }
}

/// The result of loading the file.
#[derive(Debug, Default)]
pub(crate) struct Loaded {
    /// The variables that the file has set.
    pub(crate) names: BTreeSet<String>,
    /// A fault that does no harm.
    pub(crate) warning: Option<EnvFileError>,
}

/// Puts the file's settings into the environment.
///
/// # Errors
/// When there is a file, and it cannot be read or a setting of it means nothing.
pub(crate) fn load() -> Result<Loaded, EnvFileError> {
    let error = |error: &io::Error| EnvFileError {
        line: None,
        what: error.to_string(),
    };
    if !Path::new(NAME).is_file() {
        return Ok(Loaded::default());
    }
    let bytes = fs::read(NAME).map_err(|failed| error(&failed))?;
    let (settings, warning) = checked(&bytes)?;
    let mut names = BTreeSet::new();
    for setting in settings {
        if env::var_os(&setting.name).is_none() {
            let set = dotenvy::from_read(setting.line.as_bytes());
            set.map_err(|_| wrong(setting.number, NOT_A_SETTING))?;
            names.insert(setting.name);
        }
    }
    Ok(Loaded { names, warning })
}

const NOT_A_SETTING: &str = "is not NAME=VALUE, or a quote in it is not closed";

fn wrong(line: usize, what: &str) -> EnvFileError {
    EnvFileError {
        line: Some(line),
        what: what.to_owned(),
    }
}

/// A line that sets a variable of this program.
#[derive(Debug, PartialEq, Eq)]
struct Setting {
    /// The number of the line, from 1.
    number: usize,
    name: String,
    /// The text of the line with its end.
    line: String,
}

/// Gives the settings of this program, and the first other line that is no setting.
fn checked(bytes: &[u8]) -> Result<(Vec<Setting>, Option<EnvFileError>), EnvFileError> {
    let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
    let (mut settings, mut warning) = (Vec::new(), None);
    for (number, line) in (1..).zip(bytes.split(|&byte| byte == b'\n')) {
        match setting(number, line) {
            Ok(setting) => settings.extend(setting),
            Err(error) if is_ours(line) => return Err(error),
            Err(error) => warning = warning.or(Some(error)),
        }
    }
    Ok((settings, warning))
}

/// True if a line sets a variable of this program, or tries to.
fn is_ours(line: &[u8]) -> bool {
    let line = line.trim_ascii_start();
    let exported = line.strip_prefix(b"export");
    let exported = exported.filter(|rest| rest.starts_with(b" ") || rest.starts_with(b"\t"));
    let line = exported.unwrap_or(line).trim_ascii_start();
    line.starts_with(PREFIX.as_bytes())
}

/// Gives the setting of a line, if it is one of this program.
fn setting(number: usize, line: &[u8]) -> Result<Option<Setting>, EnvFileError> {
    let text = str::from_utf8(line).map_err(|_| wrong(number, "is not UTF-8"))?;
    if text.contains('\0') {
        return Err(wrong(number, "has a NUL, which no setting can have"));
    }
    // Without the line's end a space before it would be an error.
    let line = format!("{}\n", text.trim_end_matches('\r'));
    match dotenvy::from_read_iter(line.as_bytes()).next() {
        Some(Ok((name, _))) if name.starts_with(PREFIX) => Ok(Some(Setting { number, name, line })),
        Some(Ok(_)) | None => Ok(None),
        Some(Err(_)) => Err(wrong(number, NOT_A_SETTING)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn names(text: &str) -> Vec<String> {
        let (settings, _) = checked(text.as_bytes()).expect("right");
        settings.into_iter().map(|setting| setting.name).collect()
    }

    fn wrong_line(text: &[u8]) -> Option<usize> {
        checked(text).expect_err("wrong").line
    }

    fn warned(text: &[u8]) -> Option<usize> {
        checked(text)
            .expect("right")
            .1
            .and_then(|warning| warning.line)
    }

    #[test]
    fn settings_of_this_program_are_taken_and_no_others() {
        let text = "\u{feff}# a comment\n\nexport TERCET_A=1\r\nPATH=/evil\nTERCET_B='two words' # why\n\
                    LD_PRELOAD=x\n TERCET_C=4 \nMY_TERCET_D=1\n#TERCET_E=1";
        assert_eq!(names(text), ["TERCET_A", "TERCET_B", "TERCET_C"]);
        assert_eq!(warned(text.as_bytes()), None);
    }

    #[test]
    fn a_wrong_line_of_another_program_is_named_and_hinders_nothing() {
        let text = b"CERT='-----BEGIN\nxx==\n-----END'\nTERCET_A=1\n$(rm) ` {\nB=\xff\n";
        let (settings, warning) = checked(text).expect("right");
        assert_eq!(settings.len(), 1);
        assert_eq!(warning.and_then(|warning| warning.line), Some(1));
        assert_eq!(warned(b"A=1\nB=\xff\n"), Some(2));
    }

    #[test]
    fn a_wrong_setting_of_this_program_is_an_error_that_shows_nothing_of_it() {
        assert_eq!(wrong_line(b"A=1\nTERCET_PEER_SECRET\nB=2\n"), Some(2));
        assert_eq!(
            wrong_line(b"A='x\n\n# fine\nTERCET_B='never closed\nC=3\n"),
            Some(4)
        );
        assert_eq!(wrong_line(b"TERCET_A=1\nexport TERCET_B x\n"), Some(2));
        assert_eq!(wrong_line(b"TERCET_A=x\0y\n"), Some(1));
        assert_eq!(wrong_line(b"A=1\nTERCET_B=\xff\n"), Some(2));
        let error = checked(b"A=1\nTERCET_A hush")
            .expect_err("wrong")
            .to_string();
        assert!(error.starts_with(".env, line 2: "), "{error}");
        assert!(!error.contains("hush"), "{error}");
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases.max(2_000), ..ProptestConfig::default() })]

        #[test]
        fn any_file_is_taken_or_a_line_of_it_is_named(
            lines in vec(
                prop_oneof![
                    "(TERCET_)?[A-Z]{1,3} ?= ?[a-z $\\\\{}\"'#]{0,12}".prop_map(String::into_bytes),
                    "[ #='\"A-Za-z\\\\$\\r]{0,12}".prop_map(String::into_bytes),
                    vec(any::<u8>(), 0..30),
                ],
                0..8,
            ),
        ) {
            let bytes = lines.join(&b'\n');
            let named = match checked(&bytes) {
                Ok((settings, warning)) => {
                    for setting in settings {
                        prop_assert!(!setting.name.contains(['=', '\0']));
                        prop_assert_eq!(setting.line.matches('\n').count(), 1);
                    }
                    warning
                }
                Err(error) => Some(error),
            };
            if let Some(line) = named.and_then(|error| error.line) {
                prop_assert!(line >= 1 && line <= 1 + bytes.iter().filter(|&&b| b == b'\n').count());
            }
        }
    }
}
