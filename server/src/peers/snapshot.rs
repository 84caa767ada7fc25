//! The transfer of a snapshot between two replicas: in parts with checksums, resumed after a broken connection.

use std::{
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use sha2::{Digest as _, Sha256};
use tercet_core::id::{Lsn, ReplicaId};
use tercet_proto::peer::{FetchSnapshotRequest, FetchSnapshotResponse};
use tokio::{
    fs::{self, File, OpenOptions},
    io::{AsyncReadExt as _, AsyncSeekExt as _, AsyncWriteExt as _},
    sync::{mpsc, watch},
    time,
};
use tokio_stream::{Stream, StreamExt as _, wrappers::ReceiverStream};
use tonic::Status;

use super::{LinkContext, dial};
use crate::snapshots::{SnapshotCache, TakeError, Taken};

const PART_BYTES: usize = 256 << 10;

/// Parts that are read ahead of the network.
const PARTS_AHEAD: usize = 2;

/// The pause between two parts. The sender also writes, and its writes come first.
const PART_PAUSE: time::Duration = time::Duration::from_millis(2);

/// Answers a request with the parts of a snapshot; takes a new snapshot unless a suitable one exists.
pub(super) async fn send(
    snapshot_cache: &SnapshotCache,
    request: FetchSnapshotRequest,
) -> Result<impl Stream<Item = Result<FetchSnapshotResponse, Status>> + use<>, Status> {
    let id = <[u8; 16]>::try_from(&*request.snapshot_id).ok();
    let taken = snapshot_cache.snapshot(id, Lsn(request.lsn_min)).await;
    let taken = taken.map_err(|error| match error {
        TakeError::NotYet => Status::not_found("not applied yet"),
        TakeError::Failed(why) => Status::internal(why),
    })?;
    let offset = match id == Some(taken.id) {
        true => request.offset.min(taken.bytes),
        false => 0,
    };
    let (parts, queue) = mpsc::channel(PARTS_AHEAD);
    tokio::spawn(async move {
        let sent = send_parts(&taken, offset, &parts).await;
        if let Err(error) = sent {
            let _ = parts.send(Err(Status::internal(error.to_string()))).await;
        }
    });
    Ok(ReceiverStream::new(queue))
}

async fn send_parts(
    taken: &Taken,
    mut offset: u64,
    parts: &mpsc::Sender<Result<FetchSnapshotResponse, Status>>,
) -> io::Result<()> {
    let mut file = File::open(&taken.path).await?;
    file.seek(io::SeekFrom::Start(offset)).await?;
    loop {
        let mut data = Vec::with_capacity(PART_BYTES);
        (&mut file)
            .take(PART_BYTES as u64)
            .read_to_end(&mut data)
            .await?;
        let count = data.len() as u64;
        let part = FetchSnapshotResponse {
            snapshot_id: taken.id.to_vec().into(),
            total_bytes: taken.bytes,
            total_sha256: taken.sha256.to_vec().into(),
            offset,
            data_sha256: Sha256::digest(&data).to_vec().into(),
            data: data.into(),
        };
        // At least one part is sent, even at the end, so that the receiver learns that it has all bytes.
        if parts.send(Ok(part)).await.is_err() || count < PART_BYTES as u64 {
            return Ok(());
        }
        offset += count;
        taken.used();
        time::sleep(PART_PAUSE).await;
    }
}

/// The progress of a transfer: bytes received and the total.
pub(crate) type Received = (u64, u64);

/// Fetches a snapshot from `peer` into `dir`, resuming an earlier attempt. Returns the file.
///
/// # Errors
/// Why the snapshot is incomplete; the received bytes are kept for the next attempt.
pub(crate) async fn fetch(
    context: &LinkContext,
    peer: ReplicaId,
    lsn_min: Lsn,
    dir: &Path,
    received: &watch::Sender<Received>,
) -> Result<PathBuf, String> {
    let begun = begun(dir).await.map_err(|error| error.to_string())?;
    let request = FetchSnapshotRequest {
        lsn_min: lsn_min.0,
        snapshot_id: begun
            .as_ref()
            .map(|part| part.id.to_vec().into())
            .unwrap_or_default(),
        offset: begun.as_ref().map_or(0, |part| part.bytes),
    };
    let mut parts = dial::ask_snapshot(context, peer, request).await?;
    let mut incoming: Option<Incoming> = None;
    while let Some(part) = parts.next().await {
        let part = part.map_err(|status| status.message().to_owned())?;
        if incoming.is_none() {
            incoming = Some(Incoming::open(dir, begun.as_ref(), &part).await?);
        }
        let file = incoming.as_mut().expect("it was just made");
        file.take(&part).await?;
        received.send_replace((file.bytes, file.total));
    }
    let incoming = incoming.ok_or("nothing came")?;
    incoming.finish().await
}

/// The beginning of a snapshot, from an attempt that was broken off.
struct Begun {
    path: PathBuf,
    id: [u8; 16],
    bytes: u64,
}

/// Finds the file of an earlier attempt and removes its last, possibly torn, part.
async fn begun(dir: &Path) -> io::Result<Option<Begun>> {
    fs::create_dir_all(dir).await?;
    let mut files = fs::read_dir(dir).await?;
    while let Some(file) = files.next_entry().await? {
        let path = file.path();
        let name = file.file_name();
        let parts = name.to_str().and_then(|name| name.split_once('.'));
        let id = parts.filter(|(_, extension)| *extension == INCOMING);
        let Some(id) = id.and_then(|(id, _)| u128::from_str_radix(id, 16).ok()) else {
            continue;
        };
        let whole = file.metadata().await?.len() / PART_BYTES as u64;
        let bytes = whole.saturating_sub(1) * PART_BYTES as u64;
        let id = id.to_be_bytes();
        return Ok(Some(Begun { path, id, bytes }));
    }
    Ok(None)
}

/// The extension of an incomplete file, after its id.
pub(crate) const INCOMING: &str = "incoming";

/// A snapshot that is being received.
struct Incoming {
    file: File,
    path: PathBuf,
    id: Vec<u8>,
    sha256: Vec<u8>,
    bytes: u64,
    total: u64,
}

impl Incoming {
    /// Opens the file for the snapshot that `part` belongs to: the file of an earlier attempt, if the snapshot
    /// is the same.
    async fn open(
        dir: &Path,
        begun: Option<&Begun>,
        part: &FetchSnapshotResponse,
    ) -> Result<Incoming, String> {
        let id = <[u8; 16]>::try_from(&*part.snapshot_id);
        let id = id.map_err(|_| "a snapshot's id is not 16 bytes")?;
        let same = begun.filter(|begun| begun.id == id && begun.bytes == part.offset);
        if let (None, Some(other)) = (same, begun) {
            fs::remove_file(&other.path).await.map_err(failed)?;
        }
        if same.is_none() && part.offset != 0 {
            return Err("a snapshot does not begin at its beginning".into());
        }
        let name = format!("{:032x}", u128::from_be_bytes(id));
        let path = dir.join(name).with_extension(INCOMING);
        let mut options = OpenOptions::new();
        let options = options.create(true).write(true).truncate(false);
        let mut file = options.open(&path).await.map_err(failed)?;
        file.set_len(part.offset).await.map_err(failed)?;
        file.seek(io::SeekFrom::End(0)).await.map_err(failed)?;
        Ok(Incoming {
            file,
            path,
            id: part.snapshot_id.to_vec(),
            sha256: part.total_sha256.to_vec(),
            bytes: part.offset,
            total: part.total_bytes,
        })
    }

    async fn take(&mut self, part: &FetchSnapshotResponse) -> Result<(), String> {
        let follows = part.snapshot_id == self.id && part.offset == self.bytes;
        let within = part.data.len() as u64 <= self.total - self.bytes;
        if !follows || !within || part.data.len() > PART_BYTES {
            return Err("a part of the snapshot is not the next one".into());
        }
        if Sha256::digest(&part.data)[..] != part.data_sha256[..] {
            return Err("a part of the snapshot is not as it was sent".into());
        }
        self.file.write_all(&part.data).await.map_err(failed)?;
        self.bytes += part.data.len() as u64;
        Ok(())
    }

    /// Gives a complete file its final name. A complete file with a wrong checksum is deleted.
    async fn finish(mut self) -> Result<PathBuf, String> {
        if self.bytes < self.total {
            return Err(format!("{} of {} bytes came", self.bytes, self.total));
        }
        self.file.flush().await.map_err(failed)?;
        self.file.sync_all().await.map_err(failed)?;
        let (_, digest) = measure(&self.path).await?;
        if digest[..] != self.sha256[..] {
            fs::remove_file(&self.path).await.map_err(failed)?;
            return Err("the snapshot is not as it was taken: it is fetched anew".into());
        }
        let path = self.path.with_extension("snapshot");
        fs::rename(&self.path, &path).await.map_err(failed)?;
        Ok(path)
    }
}

fn failed(error: io::Error) -> String {
    format!("write the snapshot: {error}")
}

/// Gives the length and SHA-256 of a file.
///
/// # Errors
/// When it cannot be read.
pub(crate) async fn measure(path: &Path) -> Result<(u64, [u8; 32]), String> {
    let path = path.to_owned();
    let work = move || -> io::Result<_> {
        let mut file = std::fs::File::open(path)?;
        let (mut hasher, mut bytes) = (Sha256::new(), 0);
        let mut part = vec![0; PART_BYTES];
        loop {
            match file.read(&mut part)? {
                0 => return Ok((bytes, hasher.finalize().into())),
                count => {
                    hasher.update(&part[..count]);
                    bytes += count as u64;
                }
            }
        }
    };
    let measured = tokio::task::spawn_blocking(work).await;
    let measured = measured.map_err(|error| error.to_string())?;
    measured.map_err(|error| format!("read the snapshot: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BYTES: usize = 3 * PART_BYTES + 1000;

    fn file() -> Vec<u8> {
        (0..BYTES).map(|at| (at * 31 % 251) as u8).collect()
    }

    /// The part at `offset` of the snapshot with that id.
    fn part(id: u8, offset: usize) -> FetchSnapshotResponse {
        let file = file();
        let data = file[offset..BYTES.min(offset + PART_BYTES)].to_vec();
        FetchSnapshotResponse {
            snapshot_id: vec![id; 16].into(),
            total_bytes: BYTES as u64,
            total_sha256: Sha256::digest(&file).to_vec().into(),
            offset: offset as u64,
            data_sha256: Sha256::digest(&data).to_vec().into(),
            data: data.into(),
        }
    }

    /// Takes the parts from `offset` on, as many as are wanted.
    async fn take(dir: &Path, id: u8, offset: usize, count: usize) -> Incoming {
        let begun = begun(dir).await.unwrap();
        let first = part(id, offset);
        let mut incoming = Incoming::open(dir, begun.as_ref(), &first).await.unwrap();
        for at in (offset..BYTES).step_by(PART_BYTES).take(count) {
            incoming.take(&part(id, at)).await.unwrap();
        }
        incoming.file.flush().await.unwrap();
        incoming
    }

    #[tokio::test]
    async fn a_broken_transfer_goes_on_where_it_surely_was() {
        let dir = tempfile::tempdir().unwrap();
        drop(take(dir.path(), 1, 0, 3).await);
        let left = begun(dir.path()).await.unwrap().unwrap();
        assert_eq!((left.id, left.bytes), ([1; 16], 2 * PART_BYTES as u64));
        let incoming = take(dir.path(), 1, 2 * PART_BYTES, usize::MAX).await;
        let path = incoming.finish().await.unwrap();
        assert!(fs::read(path).await.unwrap() == file());
    }

    #[tokio::test]
    async fn another_snapshot_begins_anew_and_takes_the_old_ones_place() {
        let dir = tempfile::tempdir().unwrap();
        drop(take(dir.path(), 1, 0, 3).await);
        drop(take(dir.path(), 2, 0, 2).await);
        let left = begun(dir.path()).await.unwrap().unwrap();
        assert_eq!((left.id, left.bytes), ([2; 16], PART_BYTES as u64));
        let middle = part(3, PART_BYTES);
        let opened = Incoming::open(dir.path(), Some(&left), &middle).await;
        assert!(opened.is_err_and(|why| why.contains("does not begin")));
    }

    #[tokio::test]
    async fn parts_that_are_not_the_next_or_not_as_sent_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let mut incoming = take(dir.path(), 1, 0, 1).await;
        assert!(incoming.take(&part(1, 0)).await.is_err());
        assert!(incoming.take(&part(2, PART_BYTES)).await.is_err());
        let mut flipped = part(1, PART_BYTES);
        let mut data = flipped.data.to_vec();
        data[7] ^= 1;
        flipped.data = data.into();
        assert!(incoming.take(&flipped).await.is_err());
        incoming.take(&part(1, PART_BYTES)).await.unwrap();
        let short = incoming.finish().await;
        assert!(short.is_err_and(|why| why.contains("bytes came")));
    }

    #[tokio::test]
    async fn a_file_that_differs_from_what_was_taken_is_fetched_anew() {
        let dir = tempfile::tempdir().unwrap();
        let mut incoming = take(dir.path(), 1, 0, usize::MAX).await;
        incoming.sha256[0] ^= 1;
        let path = incoming.path.clone();
        assert!(incoming.finish().await.is_err());
        assert!(!path.exists() && begun(dir.path()).await.unwrap().is_none());
    }
}
