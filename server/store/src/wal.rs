//! A check of SQLite's write-ahead log before SQLite reads it.
//!
//! After a crash the last transaction may be incomplete, and SQLite takes the WAL to end before the first
//! damaged frame. For rot that is wrong: SQLite would silently drop that frame's transaction and all later
//! ones, though they were fsynced. The two cases can be distinguished. A transaction begins only when the one
//! before it is fsynced, so only the last one can be incomplete after a crash; if another transaction follows
//! the damaged frame, the frame has rotted.
//!
//! Rot in the very last transaction, and a WAL that was cut, look like a crash. A missing WAL is noticed
//! because the database file is marked as in use (`schema.rs`).

use std::{
    fs::{self, File},
    io::{self, BufReader, ErrorKind, Read},
    path::Path,
};

use super::{StoreError, directory};

/// The WAL's header, see <https://www.sqlite.org/fileformat2.html#walformat>; all numbers are big-endian.
const HEADER_BYTES: usize = 32;
const FRAME_HEADER_BYTES: usize = 24;
/// The magic number, whose lowest bit says whether checksums are over big-endian words.
const MAGIC: u32 = 0x377f_0682;

/// Checks the WAL of a store.
///
/// # Errors
/// `Corrupt` when the WAL has fsynced transactions that SQLite would not read.
pub(super) fn check(dir: &Path) -> Result<(), StoreError> {
    let path = directory::wal_path(dir);
    let failed = |error| StoreError::from_io(&format!("read {}", path.display()), &error);
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
    };
    let bytes = file.metadata().map_err(failed)?.len();
    let database = fs::metadata(directory::database_path(dir));
    if bytes > 0 && database.map_or(0, |database| database.len()) == 0 {
        let what = "tercet.db is missing or empty, and tercet.db-wal beside it is not";
        return Err(StoreError::Corrupt(what.into()));
    }
    let whole = bytes <= HEADER_BYTES as u64 || is_whole(BufReader::new(file)).map_err(failed)?;
    match whole {
        true => Ok(()),
        false => Err(StoreError::Corrupt(
            "tercet.db-wal has lost what was written to it".into(),
        )),
    }
}

/// Tells whether there is a WAL that is longer than a header.
///
/// # Errors
/// When the file cannot be read.
pub(super) fn has_frames(dir: &Path) -> Result<bool, StoreError> {
    let path = directory::wal_path(dir);
    match fs::metadata(&path) {
        Ok(metadata) => Ok(metadata.len() > HEADER_BYTES as u64),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(StoreError::from_io(
            &format!("look at {}", path.display()),
            &error,
        )),
    }
}

/// Tells whether every fsynced transaction is readable, as far as the WAL itself shows.
fn is_whole(mut wal: impl Read) -> io::Result<bool> {
    let mut header = [0; HEADER_BYTES];
    wal.read_exact(&mut header)?;
    let Some((mut sum, page_bytes)) = Sum::of_header(&header) else {
        // The header is fsynced before any frame is written.
        return Ok(false);
    };
    let salts = &header[16..24];
    let mut frame = vec![0; FRAME_HEADER_BYTES + page_bytes];
    let (mut intact, mut ended) = (true, false);
    while read_whole(&mut wal, &mut frame)? {
        // Frames with other salts are from before the WAL started over.
        let mut current = frame[8..16] == *salts;
        if intact {
            sum.add(&frame[..8]);
            sum.add(&frame[FRAME_HEADER_BYTES..]);
            let fits = sum.is(&frame[16..24]);
            intact = current && fits;
            // The checksum begins with the salts of the header and covers no others: the salts of a frame that it fits
            // have rotted.
            current |= fits;
        }
        if !intact && current {
            if ended {
                return Ok(false);
            }
            // The last frame of a transaction has the size of the database.
            ended = word(&frame, 4) != 0;
        }
    }
    Ok(true)
}

/// Reads one frame. False at the end, and where less than a frame is left.
fn read_whole(wal: &mut impl Read, frame: &mut [u8]) -> io::Result<bool> {
    match wal.read_exact(frame) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// The running checksum over all frames.
struct Sum {
    big_endian: bool,
    first: u32,
    second: u32,
}

impl Sum {
    /// Gives the checksum after the header, and the bytes of a page; `None` when the header is damaged.
    fn of_header(header: &[u8; HEADER_BYTES]) -> Option<(Sum, usize)> {
        let mut sum = Sum {
            big_endian: word(header, 0) & 1 == 1,
            first: 0,
            second: 0,
        };
        sum.add(&header[..24]);
        let page_bytes = usize::try_from(word(header, 8)).ok()?;
        let sound = word(header, 0) & !1 == MAGIC
            && sum.is(&header[24..])
            && (512..=65_536).contains(&page_bytes)
            && page_bytes.is_power_of_two();
        sound.then_some((sum, page_bytes))
    }

    fn add(&mut self, bytes: &[u8]) {
        let read = |bytes: &[u8]| match self.big_endian {
            true => word(bytes, 0),
            false => word(bytes, 0).swap_bytes(),
        };
        for pair in bytes.chunks_exact(8) {
            let (one, two) = (read(pair), read(&pair[4..]));
            self.first = self.first.wrapping_add(one).wrapping_add(self.second);
            self.second = self.second.wrapping_add(two).wrapping_add(self.first);
        }
    }

    fn is(&self, written: &[u8]) -> bool {
        (word(written, 0), word(written, 4)) == (self.first, self.second)
    }
}
