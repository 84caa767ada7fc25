-- Rooms: conversations of any number of accounts, with a name.

-- Rooms, the archived ones included. Replicated.
CREATE TABLE rooms (
    -- LSN of the entry that made the room. The ids of `conversations` are LSNs too, so no two conversations share one.
    id               INTEGER PRIMARY KEY,
    -- As typed, without the `#`.
    name             TEXT NOT NULL,
    -- ASCII lower case of it: what is unique, searched and ordered by.
    name_key         TEXT NOT NULL,
    -- May be empty.
    topic            TEXT NOT NULL,
    -- Whether anybody finds the room and may join it. Otherwise nobody outside learns that it exists.
    is_public        INTEGER NOT NULL CHECK (is_public IN (0, 1)),
    -- Whether only admins and owners send to it.
    is_announce_only INTEGER NOT NULL CHECK (is_announce_only IN (0, 1)),
    -- The stamp of the entry that made it.
    created_at_ms    INTEGER NOT NULL,
    -- LSN of the entry by which the last member left. NULL: it has members.
    archived_at_lsn  INTEGER
) STRICT;

-- A name belongs to one room that is not archived.
CREATE UNIQUE INDEX rooms_open ON rooms (name_key) WHERE archived_at_lsn IS NULL;

-- The members of rooms. Replicated. A deleted account is a member until a CleanUp; nobody sees such a row.
CREATE TABLE members (
    conversation_id INTEGER NOT NULL,
    account_id      INTEGER NOT NULL,
    -- 1: member. 2: admin. 3: owner.
    role            INTEGER NOT NULL CHECK (role IN (1, 2, 3)),
    -- The seq of the message that tells of the joining. Of two members, the older one has the lower.
    joined_seq      INTEGER NOT NULL,
    joined_at_ms    INTEGER NOT NULL,
    -- The member has read, or received, all messages up to this seq. Never below joined_seq; only moves forward.
    read_seq        INTEGER NOT NULL,
    delivered_seq   INTEGER NOT NULL,
    PRIMARY KEY (conversation_id, account_id)
) STRICT, WITHOUT ROWID;

-- The rooms of an account.
CREATE INDEX members_by_account ON members (account_id, conversation_id);

-- The messages of rooms, in a table of their own: those of `messages` have one recipient and a mark of delivery. One
-- row for each message, whatever the number of members. Replicated.
CREATE TABLE room_messages (
    -- Position in the log: the cursor. An entry makes one message at most.
    lsn        INTEGER PRIMARY KEY,
    -- UUID, 16 bytes: the request id that it was sent with. NULL in messages of the system.
    id         BLOB,
    room_id    INTEGER NOT NULL,
    -- From 1 on in each room, without gaps.
    seq        INTEGER NOT NULL,
    -- The account that sent it, or that did what a message of the system tells of.
    sender_id  INTEGER NOT NULL,
    -- 1: text. Of the system, 2: sender made the room, 3: joined, 4: left, 5: invited the subject.
    kind       INTEGER NOT NULL,
    -- Kind 5: the new member. Kind 4: the new owner, where the sender was the last. Else NULL.
    subject_id INTEGER,
    -- 1 byte to 16 KiB; empty in messages of the system.
    body       TEXT NOT NULL,
    -- The stamp of the entry.
    sent_at_ms INTEGER NOT NULL
) STRICT;

-- The messages of each room, in order. As conversation_messages: follows from room_messages up to indexed.through_lsn,
-- is added to for many messages at once, and is not replicated.
CREATE TABLE room_index (
    room_id INTEGER NOT NULL,
    seq     INTEGER NOT NULL,
    lsn     INTEGER NOT NULL,
    PRIMARY KEY (room_id, seq)
) STRICT, WITHOUT ROWID;
