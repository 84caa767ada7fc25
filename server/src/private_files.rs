//! The permissions of files in a data directory, which hold messages and password hashes: removes access by
//! other users. Earlier versions left some files readable; new files are private by the umask of the process.

use std::{
    fs::{self, Permissions},
    io,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::Path,
};

/// The permission bits of group and others.
const OTHERS: u32 = 0o077;
/// A sticky directory, such as /tmp, is shared by all users and not this replica's alone.
const STICKY: u32 = 0o1000;

/// Makes the files of a replica private, and logs it if some were not.
pub(crate) fn tighten(data: &Path) {
    match tighten_all(data) {
        Ok(0) => {}
        Ok(count) => tracing::warn!(
            "{count} files and directories in {} could be read by other users of this machine: now only \
             by the one that runs this replica",
            data.display()
        ),
        Err(error) => tracing::warn!(
            %error,
            "other users of this machine may be able to read {}: `chmod -R go= {0}` as its owner",
            data.display()
        ),
    }
}

fn tighten_all(data: &Path) -> io::Result<usize> {
    let mut count = 0;
    if fs::metadata(data)?.mode() & STICKY == 0 {
        count += tighten_one(data)?;
    }
    for entry in fs::read_dir(data)? {
        let entry = entry?;
        let name = entry.file_name();
        let Some(name) = name.to_str().filter(|name| is_of_a_replica(name)) else {
            continue;
        };
        count += tighten_one(&entry.path())?;
        if name.contains('.') || !entry.file_type()?.is_dir() {
            continue;
        }
        for file in fs::read_dir(entry.path())? {
            count += tighten_one(&file?.path())?;
        }
    }
    Ok(count)
}

/// Tells whether a file is a replica's. Other files in a data directory are left alone.
fn is_of_a_replica(name: &str) -> bool {
    let whole = ["lock", "reserve", "snapshots", "replica.log"];
    let begins = ["tercet.db", "unseen-", "broken-", "declared-dead-"];
    whole.contains(&name) || begins.iter().any(|begin| name.starts_with(begin))
}

/// Changes the permissions of one path and counts the changes. A symbolic link is not followed, because it may
/// lead anywhere.
fn tighten_one(path: &Path) -> io::Result<usize> {
    let metadata = match fs::symlink_metadata(path) {
        // A snapshot or a WAL may have been removed meanwhile.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        metadata => metadata?,
    };
    let mode = metadata.mode();
    if metadata.is_symlink() || mode & OTHERS == 0 {
        return Ok(0);
    }
    fs::set_permissions(path, Permissions::from_mode(mode & 0o7777 & !OTHERS))?;
    Ok(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o777
    }

    fn set(path: &Path, mode: u32) {
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn what_a_replica_keeps_is_made_private_and_nothing_else_is_touched() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path();
        fs::create_dir_all(data.join("snapshots")).unwrap();
        fs::create_dir_all(data.join("photos")).unwrap();
        let ours = ["tercet.db", "snapshots/a.taken", "unseen-1.jsonl"];
        let others = ["photos/cat.png", "notes.txt"];
        for name in ours.iter().chain(&others) {
            fs::write(data.join(name), "x").unwrap();
            set(&data.join(name), 0o644);
        }
        fs::create_dir(data.join("elsewhere")).unwrap();
        fs::write(data.join("elsewhere/file"), "x").unwrap();
        set(&data.join("elsewhere/file"), 0o644);
        let link = data.join("tercet.db-link");
        std::os::unix::fs::symlink(data.join("elsewhere/file"), link).unwrap();
        set(&data.join("snapshots"), 0o755);
        set(data, 0o755);

        assert_eq!(tighten_all(data).unwrap(), 5);
        assert_eq!(mode(data), 0o700);
        assert_eq!(mode(&data.join("snapshots")), 0o700);
        for name in ours {
            assert_eq!(mode(&data.join(name)), 0o600, "{name}");
        }
        for name in others.iter().chain(&["elsewhere/file"]) {
            assert_eq!(mode(&data.join(name)), 0o644, "{name}");
        }
        assert_eq!(tighten_all(data).unwrap(), 0);
        set(data, 0o1777);
        assert_eq!(
            tighten_all(data).unwrap(),
            0,
            "a shared directory stays shared"
        );
    }
}
