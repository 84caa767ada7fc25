-- Messages of rooms are replies, are edited and deleted, and have reactions. Tables of their own: most messages have no row
-- here, and sending one writes none.

-- The messages of rooms that reply to another one. Replicated.
CREATE TABLE replies (
    conversation_id INTEGER NOT NULL,
    -- The reply.
    seq             INTEGER NOT NULL,
    -- The message that it names.
    reply_to        INTEGER NOT NULL,
    PRIMARY KEY (conversation_id, seq)
) STRICT, WITHOUT ROWID;

-- The messages that were edited or deleted. The text in the message's row is the present one, empty after a deletion; earlier
-- ones are kept nowhere but in the log, until it is trimmed. Replicated.
CREATE TABLE edits (
    -- The row of the message.
    message_lsn   INTEGER PRIMARY KEY,
    -- The entry that last changed the text.
    changed_lsn   INTEGER NOT NULL,
    -- Stamps. NULL: it was not edited, or not deleted.
    edited_at_ms  INTEGER,
    deleted_at_ms INTEGER,
    -- Who deleted it.
    deleted_by_id INTEGER
) STRICT;

-- The search finds the texts that changed.
CREATE INDEX edits_by_change ON edits (changed_lsn);

-- Reactions to messages. Replicated.
CREATE TABLE reactions (
    -- The row of the message.
    message_lsn INTEGER NOT NULL,
    -- 1 to 32 bytes.
    reaction    TEXT NOT NULL,
    account_id  INTEGER NOT NULL,
    PRIMARY KEY (message_lsn, reaction, account_id)
) STRICT, WITHOUT ROWID;
