//! A reader of lines, each up to a limit. A line that is too long or not UTF-8 is an error for itself
//! alone; the next line is read as usual.

use std::io::{self, BufRead};

/// The reader rejects a line for one of these reasons.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadLine {
    #[error("line {number} is longer than {limit} bytes")]
    TooLong { number: u64, limit: usize },
    #[error("line {number} is not UTF-8")]
    NotText { number: u64 },
}

/// The reader holds at most one line in memory.
pub struct Lines<R> {
    input: R,
    limit: usize,
    number: u64,
}

impl<R: BufRead> Lines<R> {
    /// The reader accepts lines of at most `limit` bytes, not counting the line ending.
    pub fn new(input: R, limit: usize) -> Lines<R> {
        Lines {
            input,
            limit,
            number: 0,
        }
    }

    /// Reads the next line without its line ending; `None` at the end of the input.
    ///
    /// # Errors
    /// If the input cannot be read.
    pub fn next_line(&mut self) -> io::Result<Option<Result<String, BadLine>>> {
        let mut line = Vec::new();
        let mut length = 0_usize;
        loop {
            let part = match self.input.fill_buf() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                part => part?,
            };
            if part.is_empty() && length == 0 {
                return Ok(None);
            }
            let end = part.iter().position(|&byte| byte == b'\n');
            let taken = &part[..end.unwrap_or(part.len())];
            // One more than the limit is kept, for a `\r` at the end.
            let room = (self.limit + 1).saturating_sub(line.len());
            line.extend_from_slice(&taken[..taken.len().min(room)]);
            length += taken.len() + usize::from(end.is_some());
            let (consumed, is_last) = (taken.len() + usize::from(end.is_some()), part.is_empty());
            self.input.consume(consumed);
            if end.is_some() || is_last {
                length -= usize::from(end.is_some());
                break;
            }
        }
        self.number += 1;
        let number = self.number;
        if line.len() == length && line.last() == Some(&b'\r') {
            line.pop();
            length -= 1;
        }
        let limit = self.limit;
        if length > limit {
            return Ok(Some(Err(BadLine::TooLong { number, limit })));
        }
        let text = String::from_utf8(line);
        Ok(Some(text.map_err(|_| BadLine::NotText { number })))
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn all(bytes: &[u8], limit: usize) -> Vec<Result<String, BadLine>> {
        let mut lines = Lines::new(io::BufReader::with_capacity(3, bytes), limit);
        std::iter::from_fn(|| lines.next_line().expect("memory can be read")).collect()
    }

    #[test]
    fn a_bad_line_costs_no_other() {
        let read = all(b"good\n12345678\n\xff\xfe\r\nlast", 7);
        let (limit, number) = (7, 2);
        assert_eq!(read[0], Ok("good".to_owned()));
        assert_eq!(read[1], Err(BadLine::TooLong { number, limit }));
        assert_eq!(read[2], Err(BadLine::NotText { number: 3 }));
        assert_eq!(read[3], Ok("last".to_owned()));
        assert_eq!(read.len(), 4);
    }

    #[test]
    fn a_line_of_the_limit_is_taken_whichever_way_it_ends() {
        for bytes in [&b"1234567\nx"[..], b"1234567\r\nx"] {
            assert_eq!(all(bytes, 7)[0], Ok("1234567".to_owned()));
        }
        assert_eq!(all(b"1234567", 7), [Ok("1234567".to_owned())]);
        assert!(all(b"12345678", 7)[0].is_err());
        assert_eq!(all(b"\n\n", 7).len(), 2);
    }

    proptest! {
        #[test]
        fn lines_are_those_of_the_text(text in "[ab\n]{0,60}", limit in 0_usize..20) {
            let read = all(text.as_bytes(), limit);
            prop_assert_eq!(read.len(), text.lines().count());
            for (line, read) in text.lines().zip(read) {
                prop_assert_eq!(read.ok(), (line.len() <= limit).then(|| line.to_owned()));
            }
        }

        #[test]
        fn any_bytes_are_lines_or_bad_lines(bytes in vec(any::<u8>(), 0..100)) {
            let ends = bytes.iter().filter(|&&byte| byte == b'\n').count();
            let open = usize::from(!bytes.is_empty() && !bytes.ends_with(b"\n"));
            prop_assert_eq!(all(&bytes, 10).len(), ends + open);
        }
    }
}
