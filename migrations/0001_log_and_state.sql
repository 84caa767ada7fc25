-- The store of one replica: its identity, its log, and the state that the log makes.
--
-- LSN: position in the log, from 1 on, the same on every replica. Times: milliseconds since the
-- Unix epoch, UTC. "Replicated" tables hold the same rows on every replica that has applied the
-- same prefix of the log; they are changed only by applying committed entries, and their hash
-- is compared by `tercet cluster verify`. Booleans are 0 and 1.
--
-- Never edited once released: a change is a new file.

-- Whose store this is. One row, made with the store. Not replicated.
CREATE TABLE identity (
    only_row          INTEGER PRIMARY KEY CHECK (only_row = 1),
    -- The replica, from 1 on. A store never changes hands.
    replica_id        INTEGER NOT NULL,
    -- 16 bytes, made with the store: a wiped disk comes back as another store.
    store_id          BLOB NOT NULL CHECK (length(store_id) = 16),
    -- The highest epoch promised: nothing of a lower one is accepted. Number 0: none yet.
    promised_number   INTEGER NOT NULL,
    promised_proposer INTEGER NOT NULL
) STRICT;

-- The log. Entries above position.applied_lsn may still be cut and replaced. Not replicated as
-- such: replicas may differ above what is committed.
CREATE TABLE log (
    -- Consecutive.
    lsn            INTEGER PRIMARY KEY,
    -- The epoch of the leader that appended the entry; never falls along the log.
    epoch_number   INTEGER NOT NULL,
    epoch_proposer INTEGER NOT NULL,
    -- 1: payload is a tercet.peer.v1.Config. 2: payload is a tercet.log.v1.Command.
    kind           INTEGER NOT NULL,
    payload        BLOB NOT NULL,
    -- SHA-256 over the hash of the entry before (32 zero bytes before the first) and this entry:
    -- finds rot anywhere in the log.
    hash           BLOB NOT NULL
) STRICT;

-- How far the state is. One row. Replicated.
CREATE TABLE position (
    only_row      INTEGER PRIMARY KEY CHECK (only_row = 1),
    -- The last entry applied; 0: none.
    applied_lsn   INTEGER NOT NULL,
    -- The greatest stamp applied; entries get at least this, so that time never runs backwards.
    last_stamp_ms INTEGER NOT NULL
) STRICT;

-- Accounts, the deleted ones included: their messages still name them. Replicated.
CREATE TABLE users (
    -- LSN of the entry that made the account; so never used again.
    id             INTEGER PRIMARY KEY,
    -- As typed.
    username       TEXT NOT NULL,
    -- ASCII lower case of it: what is unique, searched and ordered by.
    username_key   TEXT NOT NULL,
    -- argon2id, PHC form. Empty once the account is deleted.
    password_hash  TEXT NOT NULL,
    created_at_ms  INTEGER NOT NULL,
    -- LSN of the entry that deleted the account. NULL: it lives.
    deleted_at_lsn INTEGER
) STRICT;

-- A name belongs to one living account.
CREATE UNIQUE INDEX users_living ON users (username_key) WHERE deleted_at_lsn IS NULL;
-- Finds who had a name before: histories with deleted accounts stay readable by name.
CREATE INDEX users_deleted ON users (username_key) WHERE deleted_at_lsn IS NOT NULL;

-- Open sessions; expired ones go with the next login of their account. Replicated.
CREATE TABLE sessions (
    -- SHA-256 of the token; the token is stored nowhere.
    token_hash    BLOB PRIMARY KEY,
    account_id    INTEGER NOT NULL,
    created_at_ms INTEGER NOT NULL,
    -- Refused from then on.
    expires_at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- All sessions of an account end with it.
CREATE INDEX sessions_by_account ON sessions (account_id);

-- Two accounts (or one, with itself) that ever exchanged a message. Replicated.
CREATE TABLE conversations (
    -- LSN of the first message.
    id           INTEGER PRIMARY KEY,
    -- The lower and the higher account id.
    low_account  INTEGER NOT NULL,
    high_account INTEGER NOT NULL,
    UNIQUE (low_account, high_account)
) STRICT;

-- Direct messages. Replicated.
CREATE TABLE messages (
    -- Position in the log, and so in every conversation and inbox: the cursor.
    lsn             INTEGER PRIMARY KEY,
    -- UUID, 16 bytes: the request id it was sent with. No index: `requests` finds it.
    id              BLOB NOT NULL,
    conversation_id INTEGER NOT NULL,
    sender_id       INTEGER NOT NULL,
    recipient_id    INTEGER NOT NULL,
    -- 1 byte to 16 KiB.
    body            TEXT NOT NULL,
    -- The stamp of the entry.
    sent_at_ms      INTEGER NOT NULL,
    -- Whether the recipient was connected when it was sent.
    instant         INTEGER NOT NULL CHECK (instant IN (0, 1)),
    -- Whether the recipient acknowledged it. Deleting the recipient removes rows with 0.
    delivered       INTEGER NOT NULL CHECK (delivered IN (0, 1))
) STRICT;

-- Each index ends with the rowid, which is the LSN: rows of a conversation or an inbox are in
-- order. Every further index costs every write, most of all one on a random key.
CREATE INDEX messages_by_conversation ON messages (conversation_id);
CREATE INDEX messages_by_recipient ON messages (recipient_id);
CREATE INDEX messages_waiting ON messages (recipient_id) WHERE delivered = 0;

-- Finished requests of the last 1,000,000 LSNs: a retry gets the first answer. Replicated.
CREATE TABLE requests (
    -- LSN of the entry that the request first became.
    lsn         INTEGER PRIMARY KEY,
    -- The client's UUID, 16 bytes.
    request_id  BLOB NOT NULL UNIQUE,
    -- 16 bytes of SHA-256 over what was asked: tells a retry from a reused id.
    fingerprint BLOB NOT NULL,
    -- The answer, a tercet.log.v1.Outcome.
    outcome     BLOB NOT NULL
) STRICT;
