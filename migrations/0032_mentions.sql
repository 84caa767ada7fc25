-- Mentions in the messages of rooms, found when a message is sent or edited. A message without an `@` has no row.

-- Who is mentioned where. One row for each account, and one for all members together, so that @room costs the same in a room
-- of any size. Replicated.
CREATE TABLE mentions (
    -- The mentioned account; 0: all members of the time, of whom those who joined later are told by their joined_seq.
    account_id      INTEGER NOT NULL,
    conversation_id INTEGER NOT NULL,
    seq             INTEGER NOT NULL,
    -- Position in the log of the message.
    lsn             INTEGER NOT NULL,
    -- The sender is not mentioned by itself, and nobody by an account that it blocks.
    sender_id       INTEGER NOT NULL,
    -- 1: by its name. 2: by @here. 3: by @room.
    kind            INTEGER NOT NULL,
    PRIMARY KEY (account_id, conversation_id, seq)
) STRICT, WITHOUT ROWID;

-- The mentions of one message, which go when its text does.
CREATE INDEX mentions_by_message ON mentions (conversation_id, seq);

-- The rooms in which only admins and owners mention all members, by @here and @room. Replicated.
CREATE TABLE mention_limits (
    room_id INTEGER PRIMARY KEY
) STRICT;
