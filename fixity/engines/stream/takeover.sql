-- The checks of interrupted runs that a new run need not make again, each with the row of its object in the new run.
-- In: the views `objects` (what the new run reads: `row` from 0, and `algorithms` of what is expected of each), `kept`
-- (checks in parts, maybe several of an object) and `ledger` (all checks that may be newer). Out: `row` and the check.
--
-- A check counts if the bytes were right or first seen, the object is still the same, no later check of it is known,
-- and there is a checksum by each algorithm that is expected now.
WITH newest AS (
    FROM kept
    WHERE
        status = 'succeeded'
        AND checksum IS NOT NULL
        AND algorithm = $algorithm
        AND verdict IN ('matched', 'registered')
        AND checked_at BETWEEN $since AND $horizon
        AND coalesce(version_id, etag, last_modified::VARCHAR) IS NOT NULL
    QUALIFY row_number() OVER (
        PARTITION BY key, version_id, etag, last_modified, size ORDER BY checked_at DESC, run_id DESC
    ) = 1
)

SELECT o.row, n.*
FROM objects AS o
JOIN newest AS n
    ON n.key = o.key
    AND n.size = o.size
    AND n.version_id IS NOT DISTINCT FROM o.version_id
    AND n.etag IS NOT DISTINCT FROM o.etag
    AND n.last_modified IS NOT DISTINCT FROM o.last_modified
ANTI JOIN ledger AS l
    ON l.key = n.key
    AND l.version_id IS NOT DISTINCT FROM n.version_id
    AND l.checked_at >= n.checked_at
WHERE list_has_all(list_append(coalesce(map_keys(n.other_checksums), []), n.algorithm), o.algorithms)
ORDER BY o.row
