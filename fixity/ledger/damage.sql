-- The keys whose damage may have changed: what checks found to differ, and what was known to be damaged.
-- In: the views `checks` (files of the ledger that are not in the snapshot) and `now` (the snapshot's damaged rows).
-- Out: the table `suspects`. Checks without a verdict, of earlier versions, are all looked at.
CREATE OR REPLACE TEMP TABLE suspects AS
SELECT key FROM checks WHERE verdict = 'differs' OR (verdict IS NULL AND status = 'succeeded')
UNION
SELECT key FROM now WHERE damaged_at IS NOT NULL
