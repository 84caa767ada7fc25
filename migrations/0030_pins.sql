-- Messages that are pinned: what the accounts of a conversation want to find again. `room_messages.kind` goes on: 100 the sender
-- pinned a message, 101 took a pin back (the body of both: the seq of the message).

-- At most 50 rows for each conversation. A message that is deleted, or dropped, loses its row. Replicated.
CREATE TABLE pins (
    -- An id of `conversations` or of `rooms`.
    conversation_id INTEGER NOT NULL,
    seq             INTEGER NOT NULL,
    -- The row of the message.
    message_lsn     INTEGER NOT NULL,
    -- The entry that pinned it: the order of the list.
    pinned_lsn      INTEGER NOT NULL,
    -- The account that pinned it; it may be deleted.
    pinned_by       INTEGER NOT NULL,
    -- The stamp of that entry.
    pinned_at_ms    INTEGER NOT NULL,
    PRIMARY KEY (conversation_id, seq)
) STRICT, WITHOUT ROWID;
