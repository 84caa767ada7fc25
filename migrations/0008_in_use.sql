-- Whether the file alone is the whole store.

-- One row. Not replicated. It is written to this file, not only to the WAL, before a replica changes anything,
-- and again when the replica stops and everything is in this file.
CREATE TABLE store_use (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    -- 1: a replica runs on this store, or died on it: what it acknowledged last may be in the WAL alone.
    in_use   INTEGER NOT NULL CHECK (in_use IN (0, 1))
) STRICT;

INSERT INTO store_use (only_row, in_use) VALUES (1, 0);
