-- Counts of texts, so that unread messages are counted without going through them. As the indexes that they are in, or beside,
-- they follow from the messages up to indexed.through_lsn, are added to for many messages at once, and are not replicated.

-- The number of texts of the room up to this message, deleted ones included.
ALTER TABLE room_index ADD COLUMN texts INTEGER NOT NULL DEFAULT 0;

UPDATE room_index SET texts = counted.texts
    FROM (SELECT i.room_id, i.seq, sum(m.kind = 1) OVER (PARTITION BY i.room_id ORDER BY i.seq) AS texts
          FROM room_index AS i CROSS JOIN room_messages AS m ON m.lsn = i.lsn) AS counted
    WHERE room_index.room_id = counted.room_id AND room_index.seq = counted.seq;

-- The texts of each sender in a room: they are not unread for the sender.
CREATE TABLE room_senders (
    room_id   INTEGER NOT NULL,
    sender_id INTEGER NOT NULL,
    seq       INTEGER NOT NULL,
    -- The number of texts of the sender up to this one.
    texts     INTEGER NOT NULL,
    PRIMARY KEY (room_id, sender_id, seq)
) STRICT, WITHOUT ROWID;

INSERT INTO room_senders
    SELECT m.room_id, m.sender_id, m.seq, row_number() OVER (PARTITION BY m.room_id, m.sender_id ORDER BY m.seq)
    FROM room_index AS i CROSS JOIN room_messages AS m ON m.lsn = i.lsn WHERE m.kind = 1
    ORDER BY 1, 2, 3;

-- The number of messages of each side up to this one: of the account with the lower id, and of the other one.
ALTER TABLE conversation_messages ADD COLUMN low_sent INTEGER NOT NULL DEFAULT 0;
ALTER TABLE conversation_messages ADD COLUMN high_sent INTEGER NOT NULL DEFAULT 0;

UPDATE conversation_messages SET low_sent = counted.low_sent, high_sent = counted.high_sent
    FROM (SELECT i.conversation_id, i.seq,
                 sum(m.sender_id <= m.recipient_id) OVER up_to AS low_sent,
                 sum(m.sender_id > m.recipient_id) OVER up_to AS high_sent
          FROM conversation_messages AS i CROSS JOIN messages AS m ON m.lsn = i.lsn
          WINDOW up_to AS (PARTITION BY i.conversation_id ORDER BY i.seq)) AS counted
    WHERE conversation_messages.conversation_id = counted.conversation_id
        AND conversation_messages.seq = counted.seq;

-- The deleted messages, which are not unread, without those that are hidden from their recipient. Replicated.
CREATE TABLE deleted_messages (
    conversation_id INTEGER NOT NULL,
    seq             INTEGER NOT NULL,
    sender_id       INTEGER NOT NULL,
    PRIMARY KEY (conversation_id, seq)
) STRICT, WITHOUT ROWID;

INSERT INTO deleted_messages
    SELECT m.room_id, m.seq, m.sender_id FROM edits AS e CROSS JOIN room_messages AS m ON m.lsn = e.message_lsn
    WHERE e.deleted_at_ms IS NOT NULL ORDER BY 1, 2;

INSERT INTO deleted_messages
    SELECT m.conversation_id, m.seq, m.sender_id FROM edits AS e CROSS JOIN messages AS m ON m.lsn = e.message_lsn
    WHERE e.deleted_at_ms IS NOT NULL
        AND NOT EXISTS (SELECT 1 FROM hidden_messages AS hidden
                        WHERE hidden.recipient_id = m.recipient_id AND hidden.sender_id = m.sender_id
                            AND hidden.lsn = m.lsn)
    ORDER BY 1, 2;
