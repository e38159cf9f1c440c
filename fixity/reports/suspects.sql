-- The suspect rows of a comparison within one range of keys: what was found out about them, and what both sides know.
-- compare.py runs a statement only where there is something to say. In: the table `compared` and the view `report` of
-- compare.sql, the views `source_checks` and `replica_checks` of both sides' tables; $suspect, the suspect statuses.


-- What was found out about a row, unless it is no suspect any more.
UPDATE compared SET
    detail = nullif(concat_ws('; ', compared.detail, found.note), ''),
    diagnosis = found.diagnosis,
    diagnosis_rests_on = found.diagnosis_rests_on,
    last_agreed_at = found.last_agreed_at
FROM read_parquet($findings) AS found
WHERE found.key = compared.key
  AND found.version_id IS NOT DISTINCT FROM compared.version_id
  AND found.key >= $lower AND ($upper IS NULL OR found.key < $upper)
  AND list_contains($suspect, compared.status);


-- The suspect rows, with the columns of SUSPECTS.
WITH
source AS (
    SELECT COLUMNS(*) AS 'source_\0'
    FROM source_checks
    WHERE key >= $lower AND ($upper IS NULL OR key < $upper) AND (is_latest OR $by_version)
),
replica AS (
    SELECT COLUMNS(*) AS 'replica_\0'
    FROM replica_checks
    WHERE key >= $lower AND ($upper IS NULL OR key < $upper) AND (is_latest OR $by_version)
)
SELECT *
FROM (FROM report WHERE list_contains($suspect, status)) AS suspect
LEFT JOIN source
    ON source_key = key
   AND CASE WHEN $by_version THEN version_named(source_version_id) END
       IS NOT DISTINCT FROM CASE WHEN $by_version THEN version_named(version_id) END
LEFT JOIN replica
    ON replica_key = key
   AND CASE WHEN $by_version THEN version_named(replica_version_id) END
       IS NOT DISTINCT FROM CASE WHEN $by_version THEN version_named(version_id) END
ORDER BY key, version_id NULLS FIRST;
