-- Accounts that may not be members of a room. From this migration on an archived room may have members, who read it
-- (`rooms.archived_at_lsn`: the LSN of the entry that archived it), and `room_messages.kind` goes on: 6 the sender kicked
-- the subject, 7 banned, 8 unbanned, 9 to 11 made the subject a member, an admin, an owner, 12 set the topic (the body), 13
-- renamed the room (the body: the name with its `#`), 14 made it public, 15 private, 16 announce-only, 17 open to all
-- members, 18 archived it.

-- Replicated. Rows of a deleted account are removed by CleanUp.
CREATE TABLE bans (
    room_id      INTEGER NOT NULL,
    account_id   INTEGER NOT NULL,
    -- The account that banned it.
    banned_by    INTEGER NOT NULL,
    -- The stamp of the entry.
    banned_at_ms INTEGER NOT NULL,
    PRIMARY KEY (room_id, account_id)
) STRICT, WITHOUT ROWID;

-- The bans of an account that is deleted.
CREATE INDEX bans_by_account ON bans (account_id, room_id);
