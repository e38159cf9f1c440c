-- The objects that are due, in the order of checking: first those never checked, then those due the longest. Objects
-- that failed lately have only a share; beyond it they come last, so that they do not delay the others.
-- The view `now` holds the snapshot's queue as it is now, `taken` what runs in progress have taken. Objects that did
-- not fail lately are looked at only until `$last`, by which enough are due (due_until.sql); NULL: all of them.
WITH due AS NOT MATERIALIZED (
    SELECT now.*
    FROM now
    ANTI JOIN (SELECT key, content(version_id, etag, last_modified, size) AS content FROM taken) AS t
        USING (key, content)
    WHERE listed AND left_out IS NULL AND (due_at IS NULL OR due_at <= $now)
        AND ($most IS NULL OR size <= $most)
),

retried AS (
    SELECT *, row_number() OVER longest AS place, sum(size) OVER longest AS volume
    FROM due
    WHERE failures > 0
    WINDOW longest AS (ORDER BY due_at, key, version_id NULLS FIRST ROWS UNBOUNDED PRECEDING)
)

SELECT *, false AS beyond
FROM due
WHERE failures = 0 AND ($last IS NULL OR due_at IS NULL OR due_at <= $last)
UNION ALL BY NAME
SELECT
    * EXCLUDE (place, volume),
    place > 1 AND (place > $retries OR coalesce(volume > $size_of_retries, false)) AS beyond
FROM retried
ORDER BY beyond, due_at NULLS FIRST, key, version_id NULLS FIRST
LIMIT $items
