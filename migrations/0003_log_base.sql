-- What is kept of the log's beginning, once its first entries were let go.

-- The last entry that `log` has no more, and what must be known of it and of those before it. One
-- row. Not replicated: each replica lets go of entries when it likes. In a snapshot it is the entry
-- that the snapshot was taken at.
CREATE TABLE log_base (
    only_row   INTEGER PRIMARY KEY CHECK (only_row = 1),
    -- Never above position.applied_lsn. 0: nothing was let go.
    lsn        INTEGER NOT NULL,
    -- Its hash: the chain goes on from it. 32 zero bytes at LSN 0.
    hash       BLOB NOT NULL CHECK (length(hash) = 32),
    -- The newest Config at or below it: its LSN, and a tercet.peer.v1.Config. 0 and empty: none.
    config_lsn INTEGER NOT NULL,
    config     BLOB NOT NULL,
    -- SHA-256 over the rest of this row and all of base_epochs: finds rot, as the chain does in
    -- `log`.
    seal       BLOB NOT NULL CHECK (length(seal) = 32)
) STRICT;

-- Where each epoch begins, from LSN 1 through log_base.lsn. Those that begin later are read from
-- `log`. Not replicated. One row for each change of leader, so it stays small.
CREATE TABLE base_epochs (
    first_lsn      INTEGER PRIMARY KEY,
    epoch_number   INTEGER NOT NULL,
    epoch_proposer INTEGER NOT NULL
) STRICT;
