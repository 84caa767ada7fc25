-- Who belongs to the cluster.

-- The roster. Empty until a leader founds it; before that the lists of the command line say who
-- belongs to the cluster, afterwards this does. Replicated.
CREATE TABLE replicas (
    -- From 1 on. The lowest-numbered live replica leads.
    id             INTEGER PRIMARY KEY,
    -- HOST:PORT, for clients and for replicas. Of a removed replica, where it last was.
    address        TEXT NOT NULL,
    peer_address   TEXT NOT NULL,
    -- LSN of the entry that removed the replica. NULL: it belongs to the cluster.
    removed_at_lsn INTEGER
) STRICT;
