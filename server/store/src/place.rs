//! The note of a store's place: the database file and the note file at the last opening, by inode and birth
//! time. If the store or the note is another file now, the directory was copied or moved, and may hold an older
//! state.
//!
//! Every start writes the note as a new file, so a copy made before that start is noticed even where it was
//! written into the existing files, as `cp -a` does. The note has the store's id, so a new store in the same
//! directory does not count as a copy.

use std::{
    fs::{self, File, Metadata},
    io::{self, Read as _, Write as _},
    os::unix::fs::MetadataExt as _,
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

use tercet_core::id::StoreId;
use tercet_types::durable::NewFile;

use super::directory;

const NOTE_FILE: &str = "place";
/// Bytes read of a note, which has about 150; a longer file is not a note of Tercet.
const NOTE_BYTES_MAX: u64 = 512;

/// The identity of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    inode: u64,
    /// Nanoseconds since the Unix epoch; `None` where the filesystem has no birth times.
    born_ns: Option<u128>,
}

/// The content of a note.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Note {
    store: StoreId,
    database: Place,
    /// The note's own file. `None` in notes of earlier versions.
    note: Option<Place>,
}

/// Tells whether the open store in this directory was copied or moved since [`note`] last ran for it.
/// `expects_note` means that every build that can have run on the store left a note. Otherwise a store without
/// its own note does not count as a copy.
///
/// It does not notice a whole disk or machine that was set back, nor a copy that was made since the last start
/// and then written into the same files.
///
/// # Errors
/// When the file or the note cannot be read.
pub fn is_copied(dir: &Path, store: StoreId, expects_note: bool) -> io::Result<bool> {
    let database = Place::of(&fs::metadata(directory::database_path(dir))?);
    let Some((noted, own)) = read(dir)?.filter(|(noted, _)| noted.store == store) else {
        return Ok(expects_note);
    };
    let stayed = noted.note.is_none_or(|note| note.is_same_file(own));
    Ok(!stayed || !noted.database.is_same_file(database))
}

/// Writes the note of the store's place durably, as a new file.
///
/// # Errors
/// When the note cannot be written. The earlier note then stays.
pub fn note(dir: &Path, store: StoreId) -> io::Result<()> {
    let database = Place::of(&fs::metadata(directory::database_path(dir))?);
    let new = NewFile::create(&dir.join(NOTE_FILE))?;
    let note = Some(Place::of(&new.file().metadata()?));
    let note = Note {
        store,
        database,
        note,
    };
    new.file().write_all(note.line().as_bytes())?;
    new.finish()
}

/// Reads the note and its place, if there is a note that can be decoded.
fn read(dir: &Path) -> io::Result<Option<(Note, Place)>> {
    let file = match File::open(dir.join(NOTE_FILE)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    let own = Place::of(&file.metadata()?);
    let mut bytes = Vec::new();
    file.take(NOTE_BYTES_MAX).read_to_end(&mut bytes)?;
    let note = str::from_utf8(&bytes).ok().and_then(Note::parse);
    Ok(note.map(|note| (note, own)))
}

impl Place {
    fn of(metadata: &Metadata) -> Place {
        let born = metadata.created().ok();
        let since = |born: SystemTime| born.duration_since(UNIX_EPOCH).ok();
        let born_ns = born.and_then(since).map(|since| since.as_nanos());
        Place {
            inode: metadata.ino(),
            // Some filesystems report 0 when the time is unknown.
            born_ns: born_ns.filter(|&born| born > 0),
        }
    }

    /// Compares two files. The birth time decides where both have one: it never changes, and no copy has the
    /// same. Some filesystems renumber their inodes at each mount.
    fn is_same_file(self, other: Place) -> bool {
        match self.born_ns.zip(other.born_ns) {
            Some((one, other)) => one == other,
            None => self.inode == other.inode,
        }
    }

    fn words(self) -> String {
        let born = self.born_ns.map(|born| born.to_string());
        let born = born.unwrap_or_else(|| "unknown".to_owned());
        format!("inode {} born_ns {born}", self.inode)
    }

    fn parse(words: &[&str]) -> Option<Place> {
        let ["inode", inode, "born_ns", born] = words else {
            return None;
        };
        Some(Place {
            inode: inode.parse().ok()?,
            born_ns: match *born {
                "unknown" => None,
                born => Some(born.parse().ok()?),
            },
        })
    }
}

impl Note {
    fn line(self) -> String {
        let database = self.database.words();
        let note = self
            .note
            .map_or_else(String::new, |note| format!(" note {}", note.words()));
        format!("store {:032x} {database}{note}\n", self.store.0)
    }

    fn parse(text: &str) -> Option<Note> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let ["store", store, places @ ..] = &words[..] else {
            return None;
        };
        let (database, note) = places.split_at_checked(4)?;
        Some(Note {
            store: StoreId(u128::from_str_radix(store, 16).ok()?),
            database: Place::parse(database)?,
            note: match note {
                [] => None,
                ["note", note @ ..] => Some(Place::parse(note)?),
                _ => return None,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: Place = Place {
        inode: 7,
        born_ns: Some(9),
    };

    #[test]
    fn a_note_reads_back_and_other_text_is_none() {
        let unknown = Place {
            born_ns: None,
            ..PLACE
        };
        let store = StoreId(0xabcd);
        for database in [PLACE, unknown] {
            for note in [None, Some(PLACE), Some(unknown)] {
                let note = Note {
                    store,
                    database,
                    note,
                };
                assert_eq!(Note::parse(&note.line()), Some(note));
            }
        }
        let text = "store x inode 7 born_ns 9";
        for text in [
            "",
            "store",
            text,
            "a b c d e f",
            "store 1 inode 7 born_ns 9 note",
        ] {
            assert_eq!(Note::parse(text), None, "{text}");
        }
    }

    #[test]
    fn the_birth_time_tells_files_apart_and_the_inode_only_where_there_is_none() {
        let born = |born_ns| Place { born_ns, ..PLACE };
        assert!(PLACE.is_same_file(PLACE));
        assert!(!PLACE.is_same_file(born(Some(10))));
        assert!(PLACE.is_same_file(born(None)));
        let renumbered = |place| Place { inode: 8, ..place };
        assert!(PLACE.is_same_file(renumbered(PLACE)));
        assert!(!PLACE.is_same_file(renumbered(born(None))));
    }
}
