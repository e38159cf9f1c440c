-- The first rows of a pair's report that are not ok, those that say that something is wrong first. In the
-- placeholder: the CSV. Out: its columns.
SELECT * FROM {csv}
WHERE status <> 'ok'
ORDER BY status IN ('pending', 'not_checked', 'incomparable'), key, version_id
LIMIT $most
