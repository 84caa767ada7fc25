//! The note of where a store was last opened: which database file it was, by inode and birth time. A
//! store that is another file now was copied or moved, and may be an older state of itself.
//!
//! The note is a file beside the database, not a row in it: writing a row would need a newer schema, and
//! the note must never keep a store from opening. It names its store, so a new store in the same directory is
//! not taken for a copy.

use std::{
    fs::{self, File},
    io::{self, Read as _, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

use tercet_core::id::StoreId;

use super::directory;

const NOTE_FILE: &str = "place";
/// Bytes read of a note, which has about 80: what is longer was not written here.
const NOTE_BYTES_MAX: u64 = 256;

/// Which file a store is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    store: StoreId,
    inode: u64,
    /// Nanoseconds since the Unix epoch; `None` where the filesystem does not say.
    born_ns: Option<u128>,
}

/// Whether the store in this directory, which is open, was copied or moved since [`note`] last ran for it.
/// False where there is no note of this store, as of one of an earlier version.
///
/// It does not see a whole disk or machine that was set back, nor bytes that were written into the same file.
///
/// # Errors
/// When the file or the note cannot be read.
pub fn is_copied(dir: &Path, store: StoreId) -> io::Result<bool> {
    let here = Place::of(dir, store)?;
    let noted = read(dir)?.filter(|noted| noted.store == store);
    Ok(noted.is_some_and(|noted| !noted.is_same_file(here)))
}

/// Notes durably which file the store is, unless that is noted.
///
/// # Errors
/// When the note cannot be written. The earlier one then stays.
pub fn note(dir: &Path, store: StoreId) -> io::Result<()> {
    let here = Place::of(dir, store)?;
    if read(dir)? == Some(here) {
        return Ok(());
    }
    let path = dir.join(NOTE_FILE);
    let part = path.with_extension("part");
    let mut options = File::options();
    let options = options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = options.open(&part)?;
    file.write_all(here.line().as_bytes())?;
    file.sync_all()?;
    fs::rename(&part, &path)?;
    File::open(dir)?.sync_all()
}

/// The note, if there is one that can be understood.
fn read(dir: &Path) -> io::Result<Option<Place>> {
    let file = match File::open(dir.join(NOTE_FILE)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    let mut bytes = Vec::new();
    file.take(NOTE_BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(str::from_utf8(&bytes).ok().and_then(Place::parse))
}

impl Place {
    fn of(dir: &Path, store: StoreId) -> io::Result<Place> {
        let metadata = fs::metadata(directory::database_path(dir))?;
        let born = metadata.created().ok();
        let since = |born: SystemTime| born.duration_since(UNIX_EPOCH).ok();
        Ok(Place {
            store,
            inode: metadata.ino(),
            born_ns: born.and_then(since).map(|since| since.as_nanos()),
        })
    }

    /// A birth time counts where both have one.
    fn is_same_file(self, other: Place) -> bool {
        let births = self.born_ns.zip(other.born_ns);
        self.inode == other.inode && births.is_none_or(|(one, other)| one == other)
    }

    fn line(self) -> String {
        let born = self
            .born_ns
            .map_or_else(|| "unknown".to_owned(), |born| born.to_string());
        format!(
            "store {:032x} inode {} born_ns {born}\n",
            self.store.0, self.inode
        )
    }

    fn parse(text: &str) -> Option<Place> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let ["store", store, "inode", inode, "born_ns", born] = words[..] else {
            return None;
        };
        Some(Place {
            store: StoreId(u128::from_str_radix(store, 16).ok()?),
            inode: inode.parse().ok()?,
            born_ns: match born {
                "unknown" => None,
                born => Some(born.parse().ok()?),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: Place = Place {
        store: StoreId(0xabcd),
        inode: 7,
        born_ns: Some(9),
    };

    #[test]
    fn a_note_reads_back_and_other_text_is_none() {
        let unknown = Place {
            born_ns: None,
            ..PLACE
        };
        for place in [PLACE, unknown] {
            assert_eq!(Place::parse(&place.line()), Some(place));
        }
        for text in ["", "store", "store x inode 7 born_ns 9", "a b c d e f"] {
            assert_eq!(Place::parse(text), None, "{text}");
        }
    }

    #[test]
    fn an_inode_that_was_used_again_is_told_by_its_birth_time() {
        let born = |born_ns| Place { born_ns, ..PLACE };
        assert!(PLACE.is_same_file(PLACE));
        assert!(!PLACE.is_same_file(born(Some(10))));
        assert!(PLACE.is_same_file(born(None)));
        assert!(!PLACE.is_same_file(Place { inode: 8, ..PLACE }));
    }
}
