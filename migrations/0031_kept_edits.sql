-- Rooms that keep the earlier texts of edited messages. `room_messages.kind` goes on: 102 the sender had the room keep them, 103
-- not any more.

ALTER TABLE rooms ADD COLUMN keeps_edits INTEGER NOT NULL DEFAULT 0;

-- Earlier texts of messages in rooms. At most 50 rows for each message, the newest ones. A message that is deleted loses
-- them. Replicated.
CREATE TABLE earlier_texts (
    -- The row of the message.
    message_lsn   INTEGER NOT NULL,
    -- The entry that replaced the text.
    replaced_lsn  INTEGER NOT NULL,
    body          TEXT NOT NULL,
    -- Stamps: of the entry that wrote the text, and of the one that replaced it.
    written_at_ms  INTEGER NOT NULL,
    replaced_at_ms INTEGER NOT NULL,
    PRIMARY KEY (message_lsn, replaced_lsn)
) STRICT, WITHOUT ROWID;
