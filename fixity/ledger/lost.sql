-- The objects that vanished: the newest inventory of a snapshot no longer has them, or a check found them deleted.
-- In: rows of the snapshot, {rows}. Out: the same columns, of the vanished ones. An object that was replaced is not
-- lost: its key is listed with other bytes. A version (of a versioned bucket) is an object by itself.
--   {listed_at}  when the snapshot's inventory was listed: a check that read the bytes after it saw an object that the
--                listing could not have; checks of objects that no known listing had count only a minute before it,
--                because clocks differ
--   {horizon}    a later time of a check is treated as 1970
WITH rows AS (
    FROM {rows}
),

gone AS (
    SELECT *
    FROM rows
    WHERE CASE
        WHEN listed THEN coalesce(error_code = 'DeletedSinceListed', false)
        ELSE coalesce(
            last_listed_at < {listed_at}, trusted(verified_at, {horizon}) < {listed_at} - INTERVAL 1 MINUTE, false
        ) AND coalesce(trusted(verified_at, {horizon}) < {listed_at}, true)
    END
),

there AS (
    SELECT DISTINCT key
    FROM rows
    SEMI JOIN (SELECT key FROM gone WHERE NOT listed) USING (key)
    WHERE listed
)

SELECT gone.*
FROM gone
LEFT JOIN there USING (key)
WHERE listed OR there.key IS NULL OR coalesce(version_id <> 'null', false)
