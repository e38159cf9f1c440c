-- The keys whose damage a run may have changed: what it found to differ, and what was known to be damaged.
-- In: the views `checks` (a run's file of the ledger) and `now` (the snapshot's damaged rows as they are now).
-- Out: the table `suspects`. Checks without a verdict, of earlier versions, are all looked at.
CREATE OR REPLACE TEMP TABLE suspects AS
SELECT key FROM checks WHERE verdict = 'differs' OR (verdict IS NULL AND status = 'succeeded')
UNION
SELECT key FROM now WHERE listed AND damaged_at IS NOT NULL
