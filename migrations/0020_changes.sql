-- Events that are no messages are stored, so that a subscription finds them after a break.

-- One row for each change and audience. Removed when the requests of its entry are forgotten. Replicated.
CREATE TABLE changes (
    -- An account, or a room whose members it concerns: their ids are LSNs of different entries, so no two are equal.
    audience_id INTEGER NOT NULL,
    -- The entry that made the change: the cursor of its event.
    lsn         INTEGER NOT NULL,
    -- A Change of proto/tercet/log/v1/change.proto. Never has the text of a message.
    payload     BLOB NOT NULL,
    PRIMARY KEY (audience_id, lsn)
) STRICT, WITHOUT ROWID;

-- Finds the oldest, to remove them.
CREATE INDEX changes_by_lsn ON changes (lsn);

-- The newest change that was removed: a subscription whose cursor is older may have missed it. No row before the first
-- removal. Replicated.
CREATE TABLE changes_forgotten (
    only_row    INTEGER PRIMARY KEY CHECK (only_row = 1),
    through_lsn INTEGER NOT NULL
) STRICT;
