//! The rules of this code base that a compiler does not check: which crate may import which, where SQL and tonic are
//! named, how long a file may be, which names are outdated. After TigerBeetle's `tidy.zig`.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Lines that a file may have, without its tests. A file of more than 400 should already be two.
const LINES_MAX: usize = 600;

/// Parts of names that earlier builds had, such as `lane` of `LaneReply`; `docs/glossary.md` has today's words.
const OLD_WORDS: &[&str] = &[
    "canvass",
    "canvassed",
    "crowd",
    "dice",
    "founder",
    "founders",
    "founds",
    "heir",
    "herald",
    "lane",
    "mover",
    "scribe",
    "seeker",
    "shelf",
    "tally",
    "tend",
];

/// Whole names that earlier builds had, whose parts are everyday words.
const OLD_NAMES: &[&str] = &[
    "Fate",
    "HandOver",
    "Passed",
    "Standing",
    "Unserved",
    "calls_dead",
    "told_to_stop",
];

struct File {
    /// The path from the root of the project, with `/`.
    path: String,
    text: String,
}

impl File {
    /// Gives the lines of the file without comments and without its test module.
    fn code(&self) -> impl Iterator<Item = &str> {
        let until_tests = self.text.split("#[cfg(test)]\nmod tests {").next();
        let lines = until_tests.unwrap_or_default().lines();
        lines.filter(|line| !line.trim_start().starts_with("//"))
    }

    fn is_test(&self) -> bool {
        self.path.contains("/tests/")
            || self.path.starts_with("tests/")
            || self.path.ends_with("tests.rs")
    }
}

fn sources() -> Vec<File> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for folder in ["src", "proto", "server", "client", "tests"] {
        collect(root, &root.join(folder), &mut files);
    }
    assert!(files.len() > 40, "the sources were found");
    files
}

fn collect(root: &Path, folder: &Path, files: &mut Vec<File>) {
    let mut entries: Vec<PathBuf> = fs::read_dir(folder)
        .expect("read a folder of the project")
        .map(|entry| entry.expect("read a folder of the project").path())
        .collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            if !path.ends_with("target") {
                collect(root, &path, files);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let relative = path.strip_prefix(root).expect("it is below the root");
            files.push(File {
                path: relative.to_string_lossy().replace('\\', "/"),
                text: fs::read_to_string(&path).expect("read a source file"),
            });
        }
    }
}

/// Fails with every line of files chosen by `concerns` that names one of `words`.
fn forbid(rule: &str, words: &[&str], concerns: impl Fn(&File) -> bool) {
    let mut found = Vec::new();
    for file in sources().iter().filter(|file| concerns(file)) {
        for line in file.code() {
            if words.iter().any(|word| line.contains(word)) {
                found.push(format!("{}: {}", file.path, line.trim()));
            }
        }
    }
    assert!(found.is_empty(), "{rule}:\n{}", found.join("\n"));
}

fn text_of(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(path).expect("read a file of the project")
}

fn dependencies(path: &str) -> Vec<String> {
    let text = text_of(path);
    let section = text.split("[dependencies]").nth(1).unwrap_or_default();
    let section = section.split("\n[").next().unwrap_or_default();
    let names = section
        .lines()
        .filter_map(|line| line.split(['.', ' ', '=']).next());
    names
        .filter(|name| !name.is_empty())
        .map(String::from)
        .collect()
}

#[test]
fn core_depends_on_nothing_but_bytes() {
    assert_eq!(dependencies("server/core/Cargo.toml"), ["bytes"]);
}

/// The crates, each with the other crates of Tercet that it may know.
const CRATES: &[(&str, &[&str])] = &[
    ("proto", &[]),
    ("server/types", &[]),
    ("server/core", &[]),
    (
        "server/store",
        &["tercet-core", "tercet-proto", "tercet-types"],
    ),
    (
        "server",
        &[
            "tercet-core",
            "tercet-proto",
            "tercet-store",
            "tercet-types",
        ],
    ),
    ("client", &["tercet-proto", "tercet-types"]),
    (
        "client/cli",
        &[
            "tercet-client",
            "tercet-proto",
            "tercet-tui",
            "tercet-types",
        ],
    ),
    ("client/tui", &["tercet-client", "tercet-types"]),
    ("tests/sim", &["tercet-core", "tercet-linear"]),
    ("tests/linear", &[]),
    ("tests/model", &[]),
    (".", &["tercet-cli", "tercet-client", "tercet-server"]),
];

#[test]
fn crates_know_no_others_than_the_table_says() {
    for (folder, known) in CRATES {
        for name in dependencies(&format!("{folder}/Cargo.toml")) {
            let may = !name.starts_with("tercet") || known.contains(&&*name);
            assert!(may, "{folder} depends on {name}");
        }
    }
}

#[test]
fn crates_do_without_what_others_are_for() {
    let heavy = ["prost", "rusqlite", "tokio", "tonic"];
    for (folder, forbidden) in [
        ("server/types", &heavy[..]),
        ("server/store", &["tonic"]),
        ("server", &["rusqlite"]),
        (
            "client",
            &[
                "clap",
                "crossterm",
                "indicatif",
                "ratatui",
                "rusqlite",
                "rustyline",
            ],
        ),
        ("client/tui", &["clap", "prost", "rusqlite"]),
        ("client/cli", &["prost", "rusqlite"]),
    ] {
        for name in dependencies(&format!("{folder}/Cargo.toml")) {
            assert!(!forbidden.contains(&&*name), "{folder} depends on {name}");
        }
    }
}

#[test]
fn core_is_pure() {
    assert!(text_of("server/core/src/lib.rs").contains("\n#![no_std]\n"));
    // Without `std` there is no clock, file, socket, thread or hash seed. This is what is left.
    let words = ["extern crate std", "async ", "atomic"];
    forbid("the core takes everything as a value", &words, |file| {
        file.path.starts_with("server/core/src/")
    });
}

#[test]
fn sql_is_named_only_in_the_store() {
    forbid(
        "SQL lives in server/store",
        &["rusqlite", "SELECT ", "INSERT INTO"],
        |file| !file.path.starts_with("server/store/") && !file.is_test(),
    );
}

#[test]
fn tonic_is_named_only_at_the_edges() {
    let allowed = [
        "server/src/rpc",
        "server/src/net",
        "server/src/peers",
        "client/src/api",
        "proto/",
    ];
    forbid("tonic lives at the edges", &["tonic"], |file| {
        !allowed.iter().any(|edge| file.path.starts_with(edge)) && !file.is_test()
    });
}

#[test]
fn the_core_is_driven_only_by_the_driver() {
    forbid(
        "services reach the driver through its handle",
        &["tercet_core::Replica", "Input::"],
        |file| file.path.starts_with("server/src/rpc"),
    );
}

#[test]
fn files_are_short_enough_to_read() {
    let long: Vec<String> = sources()
        .iter()
        .filter(|file| !file.is_test())
        .map(|file| {
            (
                file,
                file.text
                    .split("#[cfg(test)]\nmod tests {")
                    .next()
                    .unwrap_or_default()
                    .lines()
                    .count(),
            )
        })
        .filter(|(_, lines)| *lines > LINES_MAX)
        .map(|(file, lines)| format!("{}: {lines} lines", file.path))
        .collect();
    assert!(
        long.is_empty(),
        "a file of over 600 lines is two files:\n{}",
        long.join("\n")
    );
}

#[test]
fn every_file_says_what_it_owns() {
    let silent: Vec<String> = sources()
        .into_iter()
        .filter(|file| !file.text.starts_with("//!"))
        .map(|file| file.path)
        .collect();
    assert!(
        silent.is_empty(),
        "files without an opening `//!`:\n{}",
        silent.join("\n")
    );
}

/// Gives the text of a doc comment, `///` or `//!`, without these; `None` for any other line.
fn doc_of(line: &str) -> Option<&str> {
    let line = line.trim_start();
    let doc = line.strip_prefix("///").or(line.strip_prefix("//!"))?;
    Some(doc.trim())
}

/// Lists the lines on which a paragraph of a doc comment begins with a relative clause in place of a noun or a verb.
fn riddles(text: &str) -> Vec<&str> {
    let before = std::iter::once(None).chain(text.lines().map(doc_of));
    let lines = text.lines().zip(before);
    let begins =
        lines.filter(|(_, before)| before.is_none_or(|doc| doc.is_empty() || doc.starts_with('#')));
    let is_riddle = |line: &&str| {
        let doc = doc_of(line).unwrap_or_default();
        doc.starts_with("What ") || doc.starts_with("How ")
    };
    begins.map(|(line, _)| line).filter(is_riddle).collect()
}

#[test]
fn doc_comments_begin_with_a_noun_or_a_verb() {
    let mut found = Vec::new();
    for file in sources() {
        for line in riddles(&file.text) {
            found.push(format!("{}: {}", file.path, line.trim()));
        }
    }
    assert!(
        found.is_empty(),
        "say \"The time that …\" or \"Gives …\" in place of \"How long …\" or \"What …\":\n{}",
        found.join("\n")
    );
}

#[test]
fn doc_comments_that_begin_with_what_or_how_are_found() {
    let text = "//! How it works.\nfn one() {}\n    /// The end.\n    ///\n    /// What follows.\n    field: u8,\n";
    assert_eq!(
        riddles(text),
        ["//! How it works.", "    /// What follows."]
    );
    let good = "/// The time that a call takes.\n/// What follows is a second line.\n// What a plain comment says.\n";
    assert!(riddles(good).is_empty());
    assert_eq!(riddles("/// # Errors\n/// What is missing.\n").len(), 1);
}

#[test]
fn no_test_sleeps_in_place_of_a_condition() {
    // These poll a condition with a deadline, cause faults by a plan, or delay a pretended driver.
    let allowed = [
        "tests/cluster/mod.rs",
        "tests/nemesis/faults.rs",
        "tests/tidy.rs",
        "server/src/rpc/tests/mod.rs",
    ];
    let offenders: Vec<String> = sources()
        .into_iter()
        .filter(|file| file.is_test() && !allowed.contains(&file.path.as_str()))
        .filter(|file| file.text.contains("thread::sleep(") || file.text.contains("time::sleep("))
        .map(|file| file.path)
        .collect();
    assert!(
        offenders.is_empty(),
        "poll a condition with a deadline: {}",
        offenders.join(", ")
    );
}

/// Lists the pages of documentation.
fn pages() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folders = [root.to_owned(), root.join("docs"), root.join("notebook")];
    let entries = folders
        .iter()
        .flat_map(|folder| fs::read_dir(folder).expect("read a folder of the project"));
    let paths = entries.map(|entry| entry.expect("read a folder of the project").path());
    paths
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .collect()
}

#[test]
fn every_link_between_pages_leads_somewhere() {
    let mut broken = Vec::new();
    for page in pages() {
        let text = fs::read_to_string(&page).expect("read a page");
        for link in text.split("](").skip(1) {
            let target = link.split([')', '#']).next().unwrap_or_default();
            if target.is_empty() || target.contains("://") {
                continue;
            }
            let folder = page.parent().expect("a page is in a folder");
            if !folder.join(target).exists() {
                broken.push(format!("{}: {target}", page.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn the_readme_is_short() {
    let lines = text_of("README.md").lines().count();
    assert!(lines <= 120, "the README has {lines} lines");
}

#[test]
fn the_documents_list_every_reason_of_a_refusal() {
    let table = text_of("server/src/rpc/status.rs");
    let rows = table.split("row(").skip(1);
    let reasons = rows.filter_map(|row| row.split(')').next()?.split('"').nth(1));
    let documented = text_of("docs/api.md");
    let missing: Vec<&str> = reasons
        .filter(|reason| !documented.contains(reason))
        .collect();
    assert!(missing.is_empty(), "not in docs/api.md: {missing:?}");
}

/// Splits a name into its words in lower case: `OldName` and `old_name` into `old` and `name`.
fn words_of(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut after_lower = false;
    for letter in name.chars() {
        if letter == '_' || (letter.is_uppercase() && after_lower) {
            words.push(String::new());
        }
        after_lower = letter.is_lowercase();
        if letter != '_'
            && let Some(word) = words.last_mut()
        {
            word.extend(letter.to_lowercase());
        }
    }
    words
}

#[test]
fn the_code_uses_the_words_of_the_glossary() {
    assert_eq!(words_of("OldName"), ["old", "name"]);
    assert_eq!(words_of("OLD_NAME"), ["old", "name"]);
    let mut found = Vec::new();
    for file in sources().iter().filter(|file| file.path != "tests/tidy.rs") {
        for line in file.code() {
            let names = line.split(|letter: char| !letter.is_alphanumeric() && letter != '_');
            let is_old = |name: &&str| {
                let mut words = words_of(name).into_iter();
                OLD_NAMES.contains(name) || words.any(|word| OLD_WORDS.contains(&&*word))
            };
            for old in names.filter(is_old) {
                found.push(format!("{}: {old}: {}", file.path, line.trim()));
            }
        }
    }
    assert!(found.is_empty(), "old words:\n{}", found.join("\n"));
}

/// Gives the constants of `limits.rs` with their values.
fn limits() -> Vec<(String, u64)> {
    let text = text_of("server/types/src/limits.rs");
    let constants = text.lines().filter_map(|line| {
        let (name, rest) = line.strip_prefix("pub const ")?.split_once(':')?;
        let (_, value) = rest.trim_end_matches(';').split_once('=')?;
        let factors = value.split('*').map(|factor| number(factor.trim()));
        let value: Option<u64> = factors.product();
        let value = value.unwrap_or_else(|| panic!("write {name} as a number or a product"));
        Some((name.to_owned(), value))
    });
    constants.collect()
}

fn number(text: &str) -> Option<u64> {
    text.replace(['_', ','], "").parse().ok()
}

#[test]
fn documented_limits_are_those_of_the_code() {
    let text = text_of("docs/api.md");
    let table = text.split("## Limits of requests").nth(1).expect("a table");
    let table = table.split("\n## ").next().unwrap_or_default();
    let limits = limits();
    assert!(limits.len() > 10, "the constants were found");
    for (name, value) in limits {
        let is_named = |row: &&str| row.contains(&format!("`{name}`"));
        let row = table.lines().find(is_named);
        let row = row.unwrap_or_else(|| panic!("no row of docs/api.md has `{name}`"));
        let limit = row.split('|').nth(2).unwrap_or_default();
        let words = limit.split(|c: char| c.is_whitespace() || matches!(c, '(' | ')'));
        let mut numbers = words.filter_map(|word| number(word.trim_end_matches(',')));
        assert!(
            numbers.any(|number| number == value),
            "{name} is {value}, and docs/api.md says: {row}"
        );
    }
}
