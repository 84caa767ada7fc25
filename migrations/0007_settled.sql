-- How far this replica knows that others had the log on disk.

-- One row. Not replicated. A replica that starts tells the others; one of them that lacks the entry is on an
-- older state of its store.
CREATE TABLE settled (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    -- All members of the newest Config at or below this LSN had the log up to here on disk. Never above
    -- position.applied_lsn. 0: nothing is known.
    lsn      INTEGER NOT NULL
) STRICT;

INSERT INTO settled (only_row, lsn) VALUES (1, 0);
