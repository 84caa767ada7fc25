//! The handshake that opens every connection between replicas: both sides prove that they have the peer secret,
//! and for which replica they act, before anything else is sent. Knows nothing of gRPC, which never sees a
//! connection that fails here.
//!
//! ```text
//! dialer   → listener   magic, dialer id, dialled id, cluster id, 32 random bytes       (64 bytes)
//! listener → dialer     magic, listener id, cluster id, 32 random bytes, proof          (92 bytes)
//! dialer   → listener   proof                                                           (32 bytes)
//! proof = HMAC-SHA256(peer secret, label of the side || opening || answer without its proof)
//! ```
//!
//! The secret itself is never sent. A proof covers the random bytes of both sides, so a recorded proof is
//! invalid on another connection. It covers both ids and both cluster ids, so a proof for one replica is
//! invalid for another. Each side has a label of its own, so a proof that is sent back to its maker is invalid.
//!
//! Limits: the connection is not encrypted, and the frames after the handshake are not
//! authenticated. An attacker who can change packets on the path can let two replicas finish the handshake and
//! then alter their frames. An attacker who records a handshake can test guessed secrets against it: the secret
//! must be random (`openssl rand -hex 32`), not a word.

use std::io;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use tercet_core::id::{ClusterId, ReplicaId};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// The first bytes of a connection; the last two are the version of the handshake.
const MAGIC: [u8; 8] = *b"tercet\x00\x01";
const NONCE_BYTES: usize = 32;
const PROOF_BYTES: usize = 32;
const CLUSTER_BYTES: usize = 16;
const OPENING_BYTES: usize = 8 + 4 + 4 + CLUSTER_BYTES + NONCE_BYTES;
const ANSWER_BYTES: usize = 8 + 4 + CLUSTER_BYTES + NONCE_BYTES;

const DIALER_LABEL: &[u8] = b"tercet peer handshake v1, dialer\0";
const LISTENER_LABEL: &[u8] = b"tercet peer handshake v1, listener\0";

/// The identity of one side of a connection, and the secret that it proves to have.
pub(super) struct Identity<'a> {
    pub(super) id: ReplicaId,
    /// `None` while the store belongs to no cluster.
    pub(super) cluster: Option<ClusterId>,
    pub(super) secret: &'a str,
}

/// The identity of the other side, which has proved that it has the peer secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Proven {
    pub(super) id: ReplicaId,
    /// `None` while its store belongs to no cluster.
    pub(super) cluster: Option<ClusterId>,
}

/// Why a handshake failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum HandshakeError {
    #[error("the connection ended during the handshake: {0}")]
    Io(#[from] io::Error),
    #[error(
        "the other side does not use the peer protocol of this version: it is another program, or another version of Tercet (all replicas must be upgraded together)"
    )]
    Version,
    #[error("the peer secrets differ: give all replicas the same one (--peer-secret-file)")]
    Secret,
    #[error("replica {0} answers there: check the addresses of the replicas")]
    OtherReplica(ReplicaId),
    #[error(
        "the process that calls itself replica {0} ended the connection after this replica's proof: most likely its peer secret differs, or it expected another replica at this address; its log has the reason"
    )]
    NotBelieved(ReplicaId),
    #[error("the other side calls itself replica 0; ids are 1 or more")]
    NoId,
    #[error("the system gives no random bytes: {0}")]
    Random(getrandom::Error),
}

/// Opens a connection to replica `dialled`. Frames may be sent after this returns.
pub(super) async fn dial<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    own: &Identity<'_>,
    dialled: ReplicaId,
) -> Result<Proven, HandshakeError> {
    let opening = Opening {
        dialer: own.id,
        dialled,
        cluster: own.cluster,
        nonce: nonce()?,
    };
    let opening = opening.to_bytes();
    stream.write_all(&opening).await?;
    stream.flush().await?;
    let mut answer = [0; ANSWER_BYTES];
    read_with_magic(stream, &mut answer).await?;
    let mut shown = [0; PROOF_BYTES];
    stream.read_exact(&mut shown).await?;
    check(own.secret, LISTENER_LABEL, &opening, &answer, &shown)?;
    let Answer { id, cluster, .. } = Answer::from_bytes(&answer);
    if id != dialled {
        return Err(HandshakeError::OtherReplica(id));
    }
    let proof = proof(own.secret, DIALER_LABEL, &opening, &answer);
    stream.write_all(&proof.finalize().into_bytes()[..]).await?;
    stream.flush().await?;
    Ok(Proven { id, cluster })
}

/// Answers on an accepted connection; reads nothing beyond the handshake.
pub(super) async fn accept<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    own: &Identity<'_>,
) -> Result<Proven, HandshakeError> {
    let mut opening = [0; OPENING_BYTES];
    read_with_magic(stream, &mut opening).await?;
    let Opening {
        dialer: id,
        cluster,
        ..
    } = Opening::from_bytes(&opening);
    if id == ReplicaId(0) {
        return Err(HandshakeError::NoId);
    }
    let answer = Answer {
        id: own.id,
        cluster: own.cluster,
        nonce: nonce()?,
    };
    let answer = answer.to_bytes();
    let proof = proof(own.secret, LISTENER_LABEL, &opening, &answer);
    let said = [&answer[..], &proof.finalize().into_bytes()[..]].concat();
    stream.write_all(&said).await?;
    stream.flush().await?;
    let mut shown = [0; PROOF_BYTES];
    stream.read_exact(&mut shown).await.map_err(|error| {
        use io::ErrorKind::{ConnectionReset, UnexpectedEof};
        match error.kind() {
            UnexpectedEof | ConnectionReset => HandshakeError::NotBelieved(id),
            _ => error.into(),
        }
    })?;
    check(own.secret, DIALER_LABEL, &opening, &answer, &shown)?;
    Ok(Proven { id, cluster })
}

/// Fills `frame`; fails at its first eight bytes if they are not this protocol's.
async fn read_with_magic<S: AsyncRead + Unpin>(
    stream: &mut S,
    frame: &mut [u8],
) -> Result<(), HandshakeError> {
    let (magic, rest) = frame.split_at_mut(MAGIC.len());
    stream.read_exact(magic).await?;
    if magic != MAGIC {
        return Err(HandshakeError::Version);
    }
    stream.read_exact(rest).await?;
    Ok(())
}

fn nonce() -> Result<[u8; NONCE_BYTES], HandshakeError> {
    let mut nonce = [0; NONCE_BYTES];
    getrandom::fill(&mut nonce).map_err(HandshakeError::Random)?;
    Ok(nonce)
}

fn proof(secret: &str, label: &[u8], opening: &[u8], answer: &[u8]) -> Hmac<Sha256> {
    let mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes());
    let mut mac = mac.expect("HMAC takes a key of any length");
    mac.update(label);
    mac.update(opening);
    mac.update(answer);
    mac
}

/// Compares a proof in constant time.
fn check(
    secret: &str,
    label: &[u8],
    opening: &[u8],
    answer: &[u8],
    shown: &[u8],
) -> Result<(), HandshakeError> {
    let expected = proof(secret, label, opening, answer);
    let same = expected.verify_slice(shown);
    same.map_err(|_| HandshakeError::Secret)
}

/// The first frame.
struct Opening {
    dialer: ReplicaId,
    dialled: ReplicaId,
    cluster: Option<ClusterId>,
    nonce: [u8; NONCE_BYTES],
}

impl Opening {
    fn to_bytes(&self) -> [u8; OPENING_BYTES] {
        let mut bytes = [0; OPENING_BYTES];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&self.dialer.0.to_be_bytes());
        bytes[12..16].copy_from_slice(&self.dialled.0.to_be_bytes());
        bytes[16..32].copy_from_slice(&cluster_bytes(self.cluster));
        bytes[32..].copy_from_slice(&self.nonce);
        bytes
    }

    fn from_bytes(bytes: &[u8; OPENING_BYTES]) -> Opening {
        Opening {
            dialer: id_from(&bytes[8..12]),
            dialled: id_from(&bytes[12..16]),
            cluster: cluster_from(&bytes[16..32]),
            nonce: array_from(&bytes[32..]),
        }
    }
}

/// The second frame, without the proof that follows it.
struct Answer {
    id: ReplicaId,
    cluster: Option<ClusterId>,
    nonce: [u8; NONCE_BYTES],
}

impl Answer {
    fn to_bytes(&self) -> [u8; ANSWER_BYTES] {
        let mut bytes = [0; ANSWER_BYTES];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&self.id.0.to_be_bytes());
        bytes[12..28].copy_from_slice(&cluster_bytes(self.cluster));
        bytes[28..].copy_from_slice(&self.nonce);
        bytes
    }

    fn from_bytes(bytes: &[u8; ANSWER_BYTES]) -> Answer {
        Answer {
            id: id_from(&bytes[8..12]),
            cluster: cluster_from(&bytes[12..28]),
            nonce: array_from(&bytes[28..]),
        }
    }
}

/// Encodes a cluster id; all zero for none.
fn cluster_bytes(cluster: Option<ClusterId>) -> [u8; CLUSTER_BYTES] {
    cluster.map_or(0, |cluster| cluster.0).to_be_bytes()
}

fn cluster_from(bytes: &[u8]) -> Option<ClusterId> {
    let cluster = u128::from_be_bytes(array_from(bytes));
    (cluster != 0).then_some(ClusterId(cluster))
}

fn id_from(bytes: &[u8]) -> ReplicaId {
    ReplicaId(u32::from_be_bytes(array_from(bytes)))
}

/// Gives the bytes of a field whose place in its frame fixes its length.
fn array_from<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(bytes);
    array
}

#[cfg(test)]
mod tests {
    use tokio::io::{DuplexStream, duplex};

    use super::*;

    const SECRET: &str = "a secret of sixteen bytes";
    const ONE: ReplicaId = ReplicaId(1);
    const TWO: ReplicaId = ReplicaId(2);
    const CLUSTER: Option<ClusterId> = Some(ClusterId(7));

    fn identity(id: ReplicaId, secret: &str) -> Identity<'_> {
        Identity {
            id,
            cluster: CLUSTER,
            secret,
        }
    }

    /// Runs both sides of one handshake, replica 2 dialling `dialled` at replica 1.
    async fn shake(
        dialler: &str,
        listener: &str,
        dialled: ReplicaId,
    ) -> (
        Result<Proven, HandshakeError>,
        Result<Proven, HandshakeError>,
    ) {
        let (mut near, mut far) = duplex(1024);
        let dialling = async {
            let dialled = dial(&mut near, &identity(TWO, dialler), dialled).await;
            drop(near);
            dialled
        };
        let accepting = async {
            let accepted = accept(&mut far, &identity(ONE, listener)).await;
            drop(far);
            accepted
        };
        tokio::join!(dialling, accepting)
    }

    #[tokio::test]
    async fn replicas_with_the_same_secret_learn_each_others_ids() {
        let (dialled, accepted) = shake(SECRET, SECRET, ONE).await;
        let proven = |id| Proven {
            id,
            cluster: CLUSTER,
        };
        assert_eq!(dialled.unwrap(), proven(ONE));
        assert_eq!(accepted.unwrap(), proven(TWO));
    }

    #[tokio::test]
    async fn replicas_with_different_secrets_refuse_each_other() {
        let (dialled, accepted) = shake(SECRET, "another of sixteen bytes", ONE).await;
        assert!(matches!(dialled, Err(HandshakeError::Secret)));
        assert!(matches!(accepted, Err(HandshakeError::NotBelieved(TWO))));
    }

    #[tokio::test]
    async fn a_replica_that_was_not_dialled_is_refused_and_shown_no_proof() {
        let (dialled, accepted) = shake(SECRET, SECRET, ReplicaId(3)).await;
        assert!(matches!(dialled, Err(HandshakeError::OtherReplica(ONE))));
        assert!(matches!(accepted, Err(HandshakeError::NotBelieved(TWO))));
    }

    /// Dials without a secret, and shows the `proof` made from the frames so far.
    async fn stranger_dials(
        opening: [u8; OPENING_BYTES],
        proof: impl FnOnce(&[u8; ANSWER_BYTES], &[u8; PROOF_BYTES]) -> [u8; PROOF_BYTES],
    ) -> Result<Proven, HandshakeError> {
        let (mut near, mut far) = duplex(1024);
        let stranger = async move {
            near.write_all(&opening).await.unwrap();
            let (answer, shown) = read_answer(&mut near).await;
            near.write_all(&proof(&answer, &shown)).await.unwrap();
            near
        };
        let own = identity(ONE, SECRET);
        let (_near, accepted) = tokio::join!(stranger, accept(&mut far, &own));
        accepted
    }

    async fn read_answer(near: &mut DuplexStream) -> ([u8; ANSWER_BYTES], [u8; PROOF_BYTES]) {
        let (mut answer, mut shown) = ([0; ANSWER_BYTES], [0; PROOF_BYTES]);
        near.read_exact(&mut answer).await.unwrap();
        near.read_exact(&mut shown).await.unwrap();
        (answer, shown)
    }

    fn opening(dialer: ReplicaId, nonce: u8) -> [u8; OPENING_BYTES] {
        let opening = Opening {
            dialer,
            dialled: ONE,
            cluster: CLUSTER,
            nonce: [nonce; NONCE_BYTES],
        };
        opening.to_bytes()
    }

    fn made(label: &[u8], opening: &[u8], answer: &[u8]) -> [u8; PROOF_BYTES] {
        array_from(
            &proof(SECRET, label, opening, answer)
                .finalize()
                .into_bytes(),
        )
    }

    #[tokio::test]
    async fn a_dialer_proves_by_this_connections_words_only() {
        let said = opening(TWO, 5);
        let right = stranger_dials(said, |answer, _| made(DIALER_LABEL, &said, answer)).await;
        assert!(right.is_ok(), "the test makes proofs as the code does");

        let reflected = stranger_dials(said, |_, shown| *shown).await;
        assert!(matches!(reflected, Err(HandshakeError::Secret)));

        // A proof recorded on one connection is shown on the next with the same opening.
        let mut recorded = None;
        let first = stranger_dials(said, |answer, _| {
            *recorded.insert(made(DIALER_LABEL, &said, answer))
        });
        assert!(first.await.is_ok());
        let replayed = stranger_dials(said, |_, _| recorded.unwrap()).await;
        assert!(matches!(replayed, Err(HandshakeError::Secret)));

        // A proof for replica 3 is shown as replica 2.
        let other = opening(ReplicaId(3), 5);
        let borrowed = stranger_dials(said, |answer, _| made(DIALER_LABEL, &other, answer)).await;
        assert!(matches!(borrowed, Err(HandshakeError::Secret)));

        let nothing = stranger_dials(said, |_, _| [0; PROOF_BYTES]).await;
        assert!(matches!(nothing, Err(HandshakeError::Secret)));
        let nobody = opening(ReplicaId(0), 5);
        let (mut near, mut far) = duplex(1024);
        near.write_all(&nobody).await.unwrap();
        let refused = accept(&mut far, &identity(ONE, SECRET)).await;
        assert!(matches!(refused, Err(HandshakeError::NoId)));
    }

    #[tokio::test]
    async fn a_listener_proves_by_this_connections_words_only() {
        // A real handshake is recorded.
        let (mut near, mut far) = duplex(1024);
        let recorded = async {
            near.write_all(&opening(TWO, 5)).await.unwrap();
            let recorded = read_answer(&mut near).await;
            drop(near);
            recorded
        };
        let own = identity(ONE, SECRET);
        let (recorded, _) = tokio::join!(recorded, accept(&mut far, &own));

        let played = async |answer: [u8; ANSWER_BYTES], shown: [u8; PROOF_BYTES]| {
            let (mut near, mut far) = duplex(1024);
            let stranger = async move {
                let mut opening = [0; OPENING_BYTES];
                far.read_exact(&mut opening).await.unwrap();
                far.write_all(&answer).await.unwrap();
                far.write_all(&shown).await.unwrap();
                let mut rest = Vec::new();
                let _ = far.read_to_end(&mut rest).await;
                rest
            };
            let dialling = async move {
                let own = identity(TWO, SECRET);
                dial(&mut near, &own, ONE).await
            };
            tokio::join!(dialling, stranger)
        };
        let (replayed, said) = played(recorded.0, recorded.1).await;
        assert!(matches!(replayed, Err(HandshakeError::Secret)));
        assert!(said.is_empty(), "the dialer shows no proof to a stranger");
        let (nothing, said) = played(recorded.0, [0; PROOF_BYTES]).await;
        assert!(matches!(nothing, Err(HandshakeError::Secret)) && said.is_empty());
    }

    #[tokio::test]
    async fn another_protocol_is_told_from_another_secret() {
        for first in [
            &b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..],
            b"\0\0\x12\x04\0\0\0\0\0",
        ] {
            let said = async |first: &[u8]| {
                let (mut near, far) = duplex(1024);
                near.write_all(first).await.unwrap();
                (near, far)
            };
            let (_near, mut far) = said(first).await;
            let refused = accept(&mut far, &identity(ONE, SECRET)).await;
            assert!(matches!(refused, Err(HandshakeError::Version)));
            let (_near, mut far) = said(first).await;
            let refused = dial(&mut far, &identity(ONE, SECRET), TWO).await;
            assert!(matches!(refused, Err(HandshakeError::Version)));
        }
    }

    #[test]
    fn frames_say_what_they_were_made_of() {
        for cluster in [None, CLUSTER] {
            let opening = Opening {
                dialer: TWO,
                dialled: ONE,
                cluster,
                nonce: [9; NONCE_BYTES],
            };
            let again = Opening::from_bytes(&opening.to_bytes());
            assert_eq!((again.dialer, again.dialled), (TWO, ONE));
            assert_eq!((again.cluster, again.nonce), (cluster, [9; NONCE_BYTES]));
            let answer = Answer {
                id: ONE,
                cluster,
                nonce: [8; NONCE_BYTES],
            };
            let again = Answer::from_bytes(&answer.to_bytes());
            assert_eq!((again.id, again.cluster), (ONE, cluster));
            assert_eq!(again.nonce, [8; NONCE_BYTES]);
        }
    }
}
