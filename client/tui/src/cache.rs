//! The cache of an account on this machine: what the next start draws before it has a connection.
//!
//! A directory for each account of each cluster, readable by its owner alone: `index.json`, and one file for the newest
//! messages of each conversation. A file that cannot be read is as good as none, for the cluster has everything but
//! drafts. So no file is synced to the disk.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::{self, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::{fs, mem};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::conversation::{Aim, CACHED_MAX, Conversation, key};
use crate::item::{Item, Mark};
use crate::marker::Marker;
use crate::model::{Model, WaitingChange};

/// The form of the files; another number is as good as no cache.
const VERSION: u32 = 1;
const INDEX: &str = "index.json";
/// The sent texts that are kept.
const RECALL_KEPT: usize = 100;

/// The data of the cache without the messages.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Index {
    version: u32,
    /// The name of the account.
    me: String,
    cursor: u64,
    open: Option<String>,
    conversations: Vec<Entry>,
    people: Vec<String>,
    sent: Vec<String>,
    #[serde(default)]
    closed: BTreeMap<String, u64>,
    #[serde(default)]
    waiting: Vec<WaitingChange>,
    #[serde(default)]
    quiet: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    name: String,
    topic: String,
    unread: u32,
    mentions: u32,
    is_muted: bool,
    #[serde(default)]
    is_for_mentions: bool,
    stays_unread: bool,
    draft: String,
    #[serde(default)]
    marker: Marker,
    #[serde(default)]
    last_seq: u64,
    #[serde(default)]
    gap_after: u64,
    #[serde(default)]
    thread_drafts: BTreeMap<u64, String>,
    #[serde(default)]
    preview: String,
    #[serde(default)]
    id: u64,
    #[serde(default)]
    aim: Option<Aim>,
}

/// The directory of one account's cache.
#[derive(Debug, Clone)]
pub struct Cache {
    directory: PathBuf,
    /// The content with which each file was last written, as a hash.
    written: BTreeMap<String, u64>,
}

/// Files to write.
pub struct Changes {
    directory: PathBuf,
    files: Vec<(String, Vec<u8>)>,
}

impl Cache {
    /// Names the cache of an account at a cluster, below `root`. Makes nothing yet.
    #[must_use]
    pub fn of(root: &Path, cluster_id: &str, name: &str) -> Cache {
        Cache {
            directory: root.join(file_name(cluster_id)).join(file_name(name)),
            written: BTreeMap::new(),
        }
    }

    /// Reads what the model had when it was last written, with the messages of the open conversation; false if there is
    /// nothing. [`Cache::restore_rest`] reads the other messages: the first frame does not need them.
    pub fn restore(&self, model: &mut Model) -> bool {
        let Some(index) = self
            .read::<Index>(INDEX)
            .filter(|index| index.version == VERSION)
        else {
            return false;
        };
        model.me = index.me;
        model.cursor = index.cursor;
        model.closed = index.closed;
        model.waiting = index.waiting;
        model.quiet = index.quiet;
        for entry in index.conversations {
            let conversation = Conversation {
                topic: entry.topic,
                unread: entry.unread,
                mentions: entry.mentions,
                is_muted: entry.is_muted,
                is_for_mentions: entry.is_for_mentions,
                stays_unread: entry.stays_unread,
                marker: entry.marker,
                last_seq: entry.last_seq,
                gap_after: entry.gap_after,
                thread_drafts: entry.thread_drafts,
                preview: entry.preview,
                draft: entry.draft,
                id: entry.id,
                is_listed: true,
                aim: entry.aim,
                ..Conversation::new(&entry.name)
            };
            model.conversations.insert(key(&entry.name), conversation);
        }
        model.restored(index.open, index.people, index.sent);
        if let Some(open) = model
            .open
            .clone()
            .and_then(|open| model.conversations.get_mut(&open))
        {
            self.restore_messages(open);
        }
        model.mark_waiting();
        true
    }

    /// Reads the messages of the conversations that have none yet.
    pub fn restore_rest(&self, model: &mut Model) {
        let empty = model
            .conversations
            .values_mut()
            .filter(|one| one.items.is_empty());
        empty.for_each(|one| self.restore_messages(one));
        model.mark_waiting();
    }

    fn restore_messages(&self, conversation: &mut Conversation) {
        let file = messages_file(&conversation.name);
        conversation.items = self.read(&file).unwrap_or_default();
    }

    /// Collects the files that differ from those that were last written.
    pub fn changes(&mut self, model: &Model) -> Changes {
        let mut files = Vec::new();
        for conversation in model.conversations.values() {
            let file = messages_file(&conversation.name);
            let items = kept(&conversation.items);
            if self.is_changed(&file, fingerprint(items))
                && let Ok(content) = serde_json::to_vec(items)
            {
                files.push((file, content));
            }
        }
        let index = index_of(model);
        if let Ok(content) = serde_json::to_vec(&index) {
            let mut hash = DefaultHasher::new();
            content.hash(&mut hash);
            if self.is_changed(INDEX, hash.finish()) {
                files.push((INDEX.to_owned(), content));
            }
        }
        Changes {
            directory: self.directory.clone(),
            files,
        }
    }

    /// Removes everything, and the directory of the cluster if it is empty then.
    ///
    /// # Errors
    /// When something cannot be removed.
    pub fn wipe(&mut self) -> io::Result<()> {
        self.written.clear();
        match fs::remove_dir_all(&self.directory) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        // There may be another account's.
        let _ = self.directory.parent().map(fs::remove_dir);
        Ok(())
    }

    fn is_changed(&mut self, file: &str, hash: u64) -> bool {
        self.written.insert(file.to_owned(), hash) != Some(hash)
    }

    fn read<T: DeserializeOwned>(&self, file: &str) -> Option<T> {
        let content = fs::read(self.directory.join(file)).ok()?;
        serde_json::from_slice(&content).ok()
    }
}

impl Changes {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Writes the files, each whole or not at all.
    ///
    /// # Errors
    /// When one cannot be written.
    pub fn write(mut self) -> io::Result<()> {
        let mut builder = fs::DirBuilder::new();
        builder
            .recursive(true)
            .mode(0o700)
            .create(&self.directory)?;
        for (file, content) in mem::take(&mut self.files) {
            // Only its owner may read a temporary file.
            let mut new = tempfile::NamedTempFile::new_in(&self.directory)?;
            new.write_all(&content)?;
            new.persist(self.directory.join(file))
                .map_err(|error| error.error)?;
        }
        Ok(())
    }
}

fn index_of(model: &Model) -> Index {
    let conversations = model.conversations.iter().map(|(key, one)| {
        let (draft, thread_drafts) = model.drafts_of(key, one);
        Entry {
            name: one.name.clone(),
            topic: one.topic.clone(),
            unread: one.unread,
            mentions: one.mentions,
            is_muted: one.is_muted,
            is_for_mentions: one.is_for_mentions,
            stays_unread: one.stays_unread,
            marker: one.marker.clone(),
            last_seq: one.last_seq,
            gap_after: one.gap_after,
            thread_drafts,
            preview: one.preview.clone(),
            id: one.id,
            aim: one.aim.clone(),
            draft,
        }
    });
    let (people, sent) = model.remembered();
    Index {
        version: VERSION,
        me: model.me.clone(),
        cursor: model.cursor,
        open: model.open.clone(),
        conversations: conversations.collect(),
        people: people.to_vec(),
        closed: model.closed.clone(),
        waiting: model.waiting.clone(),
        quiet: model.quiet,
        sent: sent[sent.len().saturating_sub(RECALL_KEPT)..].to_vec(),
    }
}

fn kept(items: &[Item]) -> &[Item] {
    &items[items.len().saturating_sub(CACHED_MAX)..]
}

/// Returns a number that differs when the messages do: they change at the end, and in their marks.
fn fingerprint(items: &[Item]) -> u64 {
    let mut hash = DefaultHasher::new();
    for item in items {
        let mark = match &item.mark {
            Mark::None => 0,
            Mark::Sending => 1,
            Mark::Sent => 2,
            Mark::Delivered => 3,
            Mark::Failed { .. } => 4,
        };
        (item.cursor, &item.id, mark, &item.text).hash(&mut hash);
        (item.is_edited, item.is_deleted, &item.reactions).hash(&mut hash);
    }
    hash.finish()
}

/// Makes a name of a file of any text: letters and digits stay, other bytes become hexadecimal.
fn file_name(text: &str) -> String {
    let mut name = String::new();
    for byte in text.to_ascii_lowercase().bytes() {
        if byte.is_ascii_alphanumeric() || byte == b'-' {
            name.push(char::from(byte));
        } else {
            name.push_str(&format!("_{byte:02x}"));
        }
    }
    name
}

fn messages_file(name: &str) -> String {
    format!("messages-{}.json", file_name(name))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::model::Settings;

    fn model() -> Model {
        let mut model = Model::new(Settings::default(), 0);
        "ann".clone_into(&mut model.me);
        model.cursor = 7;
        let mut tea = Conversation::new("#Tea/..");
        tea.add(Item {
            id: "x".to_owned(),
            text: "hi".to_owned(),
            mark: Mark::Sending,
            ..Item::default()
        });
        model.conversations.insert(key(&tea.name), tea);
        model.open("#tea/..", &mut Vec::new());
        model.input.insert("a draft");
        model
    }

    #[test]
    fn what_was_written_is_drawn_again_with_drafts_and_unsent_messages() {
        let root = tempfile::tempdir().unwrap();
        let mut cache = Cache::of(root.path(), "cluster-1", "Ann");
        cache.changes(&model()).write().unwrap();
        let mut restored = Model::new(Settings::default(), 0);
        assert!(Cache::of(root.path(), "cluster-1", "ann").restore(&mut restored));
        assert_eq!((&*restored.me, restored.cursor), ("ann", 7));
        assert_eq!(restored.opened().unwrap().items[0].text, "hi");
        assert_eq!(restored.input.text(), "a draft");
        assert!(!Cache::of(root.path(), "cluster-2", "ann").restore(&mut restored));
        assert!(cache.changes(&model()).is_empty());
    }

    #[test]
    fn only_the_owner_reads_the_files_and_a_wiped_cache_is_gone() {
        let root = tempfile::tempdir().unwrap();
        let mut cache = Cache::of(root.path(), "cluster-1", "ann");
        cache.changes(&model()).write().unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&cache.directory), 0o700);
        for file in fs::read_dir(&cache.directory).unwrap() {
            assert_eq!(mode(&file.unwrap().path()), 0o600);
        }
        cache.wipe().unwrap();
        cache.wipe().unwrap();
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_broken_file_is_as_good_as_none() {
        let root = tempfile::tempdir().unwrap();
        let mut cache = Cache::of(root.path(), "c", "ann");
        cache.changes(&model()).write().unwrap();
        fs::write(cache.directory.join(INDEX), "{").unwrap();
        assert!(!cache.restore(&mut Model::new(Settings::default(), 0)));
    }
}
