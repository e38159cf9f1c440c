-- Which object a record is of, if the bucket has none of the record's own key: one of its other keys, else the one
-- object with the same key in Unicode's normal form. An object that the same source names by its own key is not
-- taken, and none where two would fit, or where two records would take one object.
-- In: `$records`, `$objects`. Out: the table `spellings`: the record's key and source, the object's key, whether it was
-- found by the normal form alone, and no version: the current one is meant.
CREATE OR REPLACE TEMP TABLE spellings AS
WITH objects AS (
    SELECT DISTINCT key
    FROM read_parquet($objects)
    WHERE is_latest
),

records AS (
    SELECT key, source_of(recorded_as, recorded_in) AS source, other_keys
    FROM read_parquet($records)
    WHERE version_id IS NULL AND recorded_as IN ('api', 'manifest')
),

unfound AS (
    SELECT DISTINCT *
    FROM records ANTI JOIN objects USING (key)
),

ways AS (
    SELECT key, source, key AS way
    FROM unfound
    UNION ALL
    SELECT key, source, unnest(other_keys) AS way
    FROM unfound
),

fitting AS (
    SELECT w.key, w.source, o.key AS object_key, false AS by_form
    FROM ways AS w
    JOIN objects AS o ON o.key = w.way
    UNION ALL
    SELECT w.key, w.source, o.key AS object_key, true AS by_form
    FROM ways AS w
    JOIN objects AS o ON nfc_normalize(o.key) = nfc_normalize(w.way)
),

free AS (
    SELECT DISTINCT f.*
    FROM fitting AS f
    ANTI JOIN records AS r ON r.source = f.source AND r.key = f.object_key
),

first AS (
    SELECT key, source, any_value(object_key) AS object_key, by_form
    FROM (FROM free QUALIFY rank() OVER (PARTITION BY key, source ORDER BY by_form) = 1)
    GROUP BY key, source, by_form
    HAVING count(*) = 1
)

SELECT *, NULL::VARCHAR AS meant
FROM first
QUALIFY count(*) OVER (PARTITION BY source, object_key) = 1
