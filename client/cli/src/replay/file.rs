//! The file of conversations, one record of JSON on each line.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use super::plan::{Plan, Planner};

const LINE_BYTES_MAX: u64 = 1024 * 1024;
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

#[derive(Debug, thiserror::Error)]
pub enum FileError {
    #[error("read {}: {source}", .path.display())]
    Io {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("line {line} is not a message: {source}")]
    BadLine {
        line: u64,
        source: serde_json::Error,
    },
    #[error("line {line} is longer than {LINE_BYTES_MAX} bytes")]
    LongLine { line: u64 },
}

/// Reads a file of JSON lines, plain or compressed with gzip; the content tells which. Each conversation gets a room if
/// `with_rooms` is set.
///
/// # Errors
/// When it cannot be read, or a line is not a message.
pub fn read(path: &Path, limit: usize, with_rooms: bool) -> Result<Plan, FileError> {
    let io = |source| FileError::Io {
        path: path.to_owned(),
        source,
    };
    let file = std::fs::File::open(path).map_err(io)?;
    let mut file = BufReader::new(file);
    let start = file.fill_buf().map_err(io)?;
    if start.starts_with(&GZIP_MAGIC) {
        let plain = flate2::bufread::MultiGzDecoder::new(file);
        return plan(path, BufReader::new(plain), limit, with_rooms);
    }
    plan(path, file, limit, with_rooms)
}

fn plan(
    path: &Path,
    mut lines: impl BufRead,
    limit: usize,
    with_rooms: bool,
) -> Result<Plan, FileError> {
    let mut planner = Planner::new(with_rooms);
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        let mut limited = (&mut lines).take(LINE_BYTES_MAX);
        let read = limited.read_until(b'\n', &mut line);
        let bytes = read.map_err(|source| FileError::Io {
            path: path.to_owned(),
            source,
        })?;
        if bytes == 0 {
            break;
        }
        if bytes as u64 == LINE_BYTES_MAX && !line.ends_with(b"\n") {
            return Err(FileError::LongLine { line: number });
        }
        if line.trim_ascii().is_empty() {
            continue;
        }
        let record = serde_json::from_slice(&line).map_err(|source| FileError::BadLine {
            line: number,
            source,
        })?;
        planner.add(&record, limit);
    }
    Ok(planner.plan)
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "00000000-0000-4000-8000-00000000000a";
    const B: &str = "00000000-0000-4000-8000-00000000000b";

    fn line(conversation: u8, from: &str, to: &str, text: &str) -> String {
        format!(
            "{{\"conversation\": \"00000000-0000-4000-8000-0000000000{conversation:02}\", \
             \"time\": \"2018-09-21T00:03:19Z\", \"from\": \"{from}\", \"to\": \"{to}\", \
             \"text\": {}}}\n",
            serde_json::json!(text)
        )
    }

    fn plan_of(text: &str, limit: usize) -> Result<Plan, FileError> {
        plan(Path::new("test"), text.as_bytes(), limit, false)
    }

    #[test]
    fn a_plan_keeps_the_order_of_each_conversation() {
        let text = [
            line(1, A, B, "one"),
            line(2, A, B, "other"),
            line(1, B, A, "two"),
        ]
        .concat();
        let plan = plan_of(&text, usize::MAX).unwrap();
        assert_eq!(plan.conversations, [vec![0, 2], vec![1]]);
        assert_eq!(plan.people.len(), 2);
        assert_eq!(plan.people[0].name.len(), 32);
        assert_eq!(plan.messages[2].body, "two");
    }

    #[test]
    fn the_same_text_twice_in_a_conversation_has_two_ids_and_each_run_the_same() {
        let text = [line(1, A, B, "ok"), line(1, A, B, "ok")].concat();
        let first = plan_of(&text, usize::MAX).unwrap();
        let second = plan_of(&text, usize::MAX).unwrap();
        assert_ne!(first.messages[0].id, first.messages[1].id);
        assert_eq!(first.messages, second.messages);
        let id = first.messages[0].id;
        assert_eq!(id.get_version_num(), 7);
        let (seconds, _) = id.get_timestamp().unwrap().to_unix();
        assert_eq!(seconds, 1_537_488_199);
    }

    #[test]
    fn a_limit_gives_a_prefix_and_knows_the_rest() {
        let text = [
            line(1, A, B, ""),
            line(1, A, B, "one"),
            line(1, B, A, "two"),
        ]
        .concat();
        let whole = plan_of(&text, usize::MAX).unwrap();
        let part = plan_of(&text, 1).unwrap();
        assert_eq!(part.messages, whole.messages[..1]);
        assert_eq!(part.known.len(), 2);
        assert_eq!((whole.skipped, part.skipped), (1, 1));
        assert!(part.people[0].logs_in && !part.people[1].logs_in);
    }

    #[test]
    fn a_bad_line_is_named_by_its_number() {
        let text = format!("{}{{\"conversation\": 3}}\n", line(1, A, B, "fine"));
        let error = plan_of(&text, usize::MAX).unwrap_err().to_string();
        assert!(error.starts_with("line 2 "), "{error}");
    }

    #[test]
    fn a_compressed_file_is_read_like_a_plain_one() {
        use std::io::Write as _;
        let text = line(1, A, B, "hello");
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("any.name");
        let file = std::fs::File::create(&path).unwrap();
        let mut gzip = flate2::write::GzEncoder::new(file, flate2::Compression::default());
        gzip.write_all(text.as_bytes()).unwrap();
        gzip.finish().unwrap();
        let plan = read(&path, usize::MAX, false).unwrap();
        assert_eq!(plan.messages, plan_of(&text, usize::MAX).unwrap().messages);
    }

    #[test]
    fn any_file_is_a_plan_or_an_error_that_says_where() {
        use proptest::{collection::vec, prelude::*, test_runner::TestRunner};
        use std::io::Write as _;

        let good = (0..3_u8, "[ -~é\\n]{0,20}").prop_map(|(conversation, text)| {
            let text = serde_json::to_string(&text).unwrap();
            let text = text.trim_matches('"').to_owned();
            line(conversation, A, B, &text).into_bytes()
        });
        let bad = "\\{\"(time|text)\": ?(\"[0-9TZ:-]{0,20}\"|\\[{1,300}|-?[0-9]{1,30})\\}?";
        let bad = bad.prop_map(String::into_bytes);
        let noise = vec(any::<u8>(), 0..40);
        let lines = prop_oneof![8 => vec(good, 0..6), 1 => vec(bad, 1..3), 1 => vec(noise, 1..3)];
        let default = ProptestConfig::default();
        let cases = default.cases.max(300);
        let mut runner = TestRunner::new(ProptestConfig { cases, ..default });
        let cut = prop::option::of(any::<prop::sample::Index>());
        let done = runner.run(&(lines, any::<bool>(), cut), |(lines, zipped, cut)| {
            let plain = lines.join(&b'\n');
            let mut bytes = plain.clone();
            if zipped {
                let mut zip = flate2::write::GzEncoder::new(Vec::new(), Default::default());
                zip.write_all(&plain).unwrap();
                bytes = zip.finish().unwrap();
            }
            if let Some(cut) = &cut {
                bytes.truncate(cut.index(bytes.len() + 1));
            }
            let mut file = tempfile::NamedTempFile::new().unwrap();
            file.write_all(&bytes).unwrap();
            match read(file.path(), 4, false) {
                Ok(plan) => {
                    prop_assert!(plan.messages.len() <= 4 && plan.known.len() <= lines.len());
                }
                Err(error) => {
                    let said = error.to_string();
                    let path = file.path().to_str().unwrap();
                    prop_assert!(said.contains(path) || said.contains("line "), "{said}");
                }
            }
            Ok(())
        });
        done.unwrap_or_else(|failed| panic!("{failed}"));
    }
}
