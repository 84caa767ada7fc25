-- By which rules the state was made.

-- The highest version of a command that was applied; the versions are in server/store/src/command.rs. A build that does
-- not know it refuses the store, or a snapshot of it: it would go on by other rules than the other replicas.
ALTER TABLE position ADD COLUMN command_version INTEGER NOT NULL DEFAULT 0;
