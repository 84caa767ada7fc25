-- The row of the position takes what the table `settled` had: the position is written with each transaction that
-- applies, and one more page for one number made each of them longer.

-- All members of the newest Config at or below this LSN had the log up to here on disk. Never above applied_lsn.
-- 0: nothing is known. Not replicated, unlike the rest of the row. A replica that starts tells the others; one of
-- them that lacks the entry is on an older state of its store.
ALTER TABLE position ADD COLUMN settled_lsn INTEGER NOT NULL DEFAULT 0;

UPDATE position SET settled_lsn = (SELECT lsn FROM settled);

DROP TABLE settled;
