-- Checks, each with the baseline of its object. In: the views `checks` and `now` (the objects), of a range of keys. Out:
-- the columns of KNOWN.
SELECT c.* EXCLUDE (content), b.baseline, b.baseline_algorithm, b.baseline_from, b.baseline_at, b.baseline_run
FROM (SELECT *, content(version_id, etag, last_modified, size) AS content FROM checks) AS c
LEFT JOIN now AS b USING (key, content)
