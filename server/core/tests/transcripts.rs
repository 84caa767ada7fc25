//! Golden transcripts: each file in `testdata` is one behaviour of the protocol, told as commands
//! and what came of them. To write the files anew after a change that is meant:
//! `TERCET_REWRITE=1 cargo test -p tercet-core`, and read the difference before it is committed.
//! `testdata/pending` holds behaviours that the core does not show yet, without their events; when
//! it does, the file moves up and is written.

mod world;

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use world::World;

#[test]
fn every_transcript_comes_out_as_written() {
    let rewrite = std::env::var("TERCET_REWRITE").is_ok_and(|value| value == "1");
    let mut differences = String::new();
    for path in transcripts() {
        let written = fs::read_to_string(&path).expect("read a transcript");
        let name = path.file_name().expect("a file has a name");
        let name = name.to_string_lossy();
        assert!(written.starts_with('#'), "{name} says what it shows");
        let found = run(&written);
        if found == written {
            continue;
        }
        match rewrite {
            true => fs::write(&path, found).expect("write a transcript"),
            false => write!(differences, "{name}:\n{}\n", difference(&written, &found))
                .expect("a string takes everything"),
        }
    }
    assert!(
        differences.is_empty(),
        "transcripts differ (- as written, + as found). If that is meant, rewrite them with \
         TERCET_REWRITE=1 cargo test -p tercet-core, and read the difference.\n\n{differences}"
    );
}

/// The same commands give the same events: nothing depends on chance.
#[test]
fn the_same_transcript_twice_is_the_same() {
    for path in transcripts() {
        let written = fs::read_to_string(&path).expect("read a transcript");
        assert_eq!(run(&written), run(&written), "{}", path.display());
    }
}

fn transcripts() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata");
    let files = fs::read_dir(folder).expect("read the folder of transcripts");
    let mut paths: Vec<_> = files
        .map(|file| file.expect("read the folder of transcripts").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
        .collect();
    paths.sort();
    assert!(!paths.is_empty());
    paths
}

/// The transcript with its commands and comments, and what comes of the commands now.
fn run(written: &str) -> String {
    let mut world = World::new();
    let mut found = String::new();
    for line in written.lines() {
        let told = match line.strip_prefix("> ") {
            Some(command) => world.run(command),
            None if line.is_empty() || line.starts_with('#') => Vec::new(),
            None => continue,
        };
        let lines = std::iter::once(line).chain(told.iter().map(String::as_str));
        for line in lines {
            found += line;
            found.push('\n');
        }
    }
    found
}

/// Lines of the two texts, each marked as in both (with some of them left out), only in the one as
/// written, or only in the one as found.
fn difference(written: &str, found: &str) -> String {
    const CONTEXT: usize = 3;
    let a: Vec<_> = written.lines().collect();
    let b: Vec<_> = found.lines().collect();
    let mut marked = Vec::new();
    let (mut i, mut j) = (0, 0);
    let common = common_lines(&a, &b);
    while i < a.len() || j < b.len() {
        if i < a.len() && j < b.len() && a[i] == b[j] {
            marked.push((' ', a[i]));
            i += 1;
            j += 1;
        } else if j == b.len() || (i < a.len() && common[i + 1][j] >= common[i][j + 1]) {
            marked.push(('-', a[i]));
            i += 1;
        } else {
            marked.push(('+', b[j]));
            j += 1;
        }
    }
    let near = |n: usize| {
        let near = &marked[n.saturating_sub(CONTEXT)..marked.len().min(n + CONTEXT + 1)];
        near.iter().any(|(mark, _)| *mark != ' ')
    };
    let mut text = String::new();
    for (n, (mark, line)) in marked.iter().enumerate() {
        if near(n) || line.starts_with("> ") {
            text += &format!("  {mark} {line}\n");
        }
    }
    text
}

/// `common[i][j]`: how many lines the rests `a[i..]` and `b[j..]` have in common, in order.
fn common_lines(a: &[&str], b: &[&str]) -> Vec<Vec<usize>> {
    let mut common = vec![vec![0; b.len() + 1]; a.len() + 1];
    for i in (0..a.len()).rev() {
        for j in (0..b.len()).rev() {
            common[i][j] = match a[i] == b[j] {
                true => common[i + 1][j + 1] + 1,
                false => common[i + 1][j].max(common[i][j + 1]),
            };
        }
    }
    common
}
