//! Durable files: a new file replaces the old one whole, survives a loss of power once written, and is readable by its
//! owner only.

use std::{
    ffi::OsString,
    fs::{self, File},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

/// A file that is being written beside the one it replaces, as `<name>.part`. Dropping it without
/// [`NewFile::finish`] removes it, and the old file stays.
#[derive(Debug)]
pub struct NewFile {
    file: File,
    part: PathBuf,
    path: PathBuf,
    finished: bool,
}

impl NewFile {
    /// Makes an empty file that is to replace `path`. A part that a crash left is removed, with its permissions.
    ///
    /// # Errors
    /// When the file cannot be made.
    pub fn create(path: &Path) -> io::Result<NewFile> {
        let mut part = OsString::from(path);
        part.push(".part");
        let part = PathBuf::from(part);
        remove(&part)?;
        let mut options = File::options();
        let options = options.write(true).create_new(true).mode(0o600);
        Ok(NewFile {
            file: options.open(&part)?,
            part,
            path: path.to_owned(),
            finished: false,
        })
    }

    /// Gives the file to write to.
    #[must_use]
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Gives the path of the part, for a writer that opens it itself.
    #[must_use]
    pub fn part(&self) -> &Path {
        &self.part
    }

    /// Replaces the old file: makes the content durable, then the name.
    ///
    /// # Errors
    /// When a step fails. The old file then stays, unless only the name could not be made durable.
    pub fn finish(mut self) -> io::Result<()> {
        self.file.sync_all()?;
        fs::rename(&self.part, &self.path)?;
        self.finished = true;
        sync_directory(parent(&self.path))
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if !self.finished {
            // One that stays is removed by the next attempt.
            let _ = fs::remove_file(&self.part);
        }
    }
}

/// Replaces the content of a file, or makes the file.
///
/// # Errors
/// As [`NewFile::create`] and [`NewFile::finish`].
pub fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    let new = NewFile::create(path)?;
    new.file().write_all(content)?;
    new.finish()
}

/// Removes a file; there may be none.
///
/// # Errors
/// When it cannot be removed.
pub fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Makes the names in a directory durable: an fsynced file can still lose its name.
///
/// # Errors
/// When the directory cannot be opened or written.
pub fn sync_directory(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Gives the directory that a file's name is in.
#[must_use]
pub fn parent(path: &Path) -> &Path {
    let parent = path.parent().filter(|dir| !dir.as_os_str().is_empty());
    parent.unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_only_its_owner_reads_it() {
        let dir = tempfile::tempdir().expect("make a directory");
        let path = dir.path().join("note");
        fs::write(dir.path().join("note.part"), "left by a crash").expect("write");
        write(&path, b"one").expect("make");
        write(&path, b"two").expect("replace");
        assert_eq!(fs::read(&path).expect("read"), b"two");
        let mode = fs::metadata(&path).expect("look").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(fs::read_dir(dir.path()).expect("list").count(), 1);
    }

    #[test]
    fn a_new_file_that_is_given_up_leaves_the_old_one() {
        let dir = tempfile::tempdir().expect("make a directory");
        let path = dir.path().join("note");
        write(&path, b"old").expect("make");
        let new = NewFile::create(&path).expect("begin");
        new.file().write_all(b"half").expect("write");
        drop(new);
        assert_eq!(fs::read(&path).expect("read"), b"old");
        assert_eq!(fs::read_dir(dir.path()).expect("list").count(), 1);
    }

    #[test]
    fn a_name_without_a_directory_is_in_the_current_one() {
        assert_eq!(parent(Path::new("note")), Path::new("."));
        assert_eq!(parent(Path::new("a/note")), Path::new("a"));
    }
}
