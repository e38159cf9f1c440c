-- What is due, in the order in which it is to be checked: what never was, then by how long it is due.
-- The views `queue` and `since` hold the standing's queue and the rows that changed after it was folded;
-- `taken` what runs in progress have taken.
WITH changed AS (
    SELECT *, content(version_id, etag, last_modified, size) AS content
    FROM since
    QUALIFY row_number() OVER (PARTITION BY key, content, algorithm ORDER BY filename DESC) = 1
),

queued AS (
    SELECT *, content(version_id, etag, last_modified, size) AS content FROM queue
),

candidates AS (
    SELECT queued.* FROM queued ANTI JOIN changed USING (key, content, algorithm)
    UNION ALL BY NAME
    SELECT * FROM changed WHERE listed AND left_out IS NULL
)

SELECT candidates.*
FROM candidates
ANTI JOIN (SELECT key, content(version_id, etag, last_modified, size) AS content FROM taken) AS t
    USING (key, content)
WHERE due_at IS NULL OR due_at <= $now
ORDER BY due_at NULLS FIRST, key, version_id NULLS FIRST
LIMIT $items
