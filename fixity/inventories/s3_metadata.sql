-- The rows of a live inventory table. Of an object that S3 had no time to look at, all else is NULL: such a row counts as
-- a delete marker that is not the current version, so that its key is known to have none. s3_metadata.py fills in the
-- braces.
(
    SELECT
        * REPLACE (coalesce(is_delete_marker, false) OR NOT seen AS is_delete_marker),
        seen AND sequence_number = max(sequence_number) OVER (PARTITION BY key) AS is_latest
    FROM (
        SELECT
            *,
            coalesce(is_delete_marker, false) OR size IS NOT NULL OR last_modified_date IS NOT NULL AS seen
        FROM read_parquet({file}, filename = true)
    )
)
