-- What is due, in the order in which it is to be checked: what never was, then by how long it is due.
-- The view `now` holds the standing's queue as it is now, `taken` what runs in progress have taken.
SELECT now.*
FROM now
ANTI JOIN (SELECT key, content(version_id, etag, last_modified, size) AS content FROM taken) AS t
    USING (key, content)
WHERE wanted AND left_out IS NULL AND (due_at IS NULL OR due_at <= $now)
    AND ($most IS NULL OR size <= $most)
ORDER BY due_at NULLS FIRST, key, version_id NULLS FIRST
LIMIT $items
