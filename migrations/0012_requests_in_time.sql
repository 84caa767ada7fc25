-- Requests are remembered by the time as well.

-- Milliseconds that the stamps went on since the first command of version 1, jumps left out. NULL before that
-- command: then the number of entries alone counts.
ALTER TABLE position ADD COLUMN request_clock_ms INTEGER;
-- Requests at or below this LSN are forgotten; of no use while request_clock_ms is NULL.
ALTER TABLE position ADD COLUMN request_floor INTEGER NOT NULL DEFAULT 0;
-- Cluster time at the newest request that was forgotten since then, or a little later. 0: none was.
ALTER TABLE position ADD COLUMN request_floor_ms INTEGER NOT NULL DEFAULT 0;

-- When entries were applied, one in 1,000; those at or below request_floor are gone. Replicated.
CREATE TABLE request_marks (
    -- A multiple of 1,000, of a command.
    lsn      INTEGER PRIMARY KEY,
    -- request_clock_ms at that entry.
    clock_ms INTEGER NOT NULL,
    -- Cluster time at that entry, milliseconds since the Unix epoch.
    time_ms  INTEGER NOT NULL
) STRICT;
