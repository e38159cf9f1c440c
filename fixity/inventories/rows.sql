-- The rows of a provider's list as rows of an inventory, sorted. A row that is not understood ends the statement with
-- an error: an inventory that loses a row makes a bucket smaller than it is.
-- In: the view `rows`: the list's columns by their names in ORC and Parquet, as text from CSV; NULL for those that it
-- has not; and `filename`. Delete markers have no bytes, and are left out.
--   $bucket      its real name         $prefix     of the keys; the rest of the bucket is left out
--   $all         all versions          $versions   whether the list has versions at all
--   $encoded     whether keys are URL-encoded, with `+` for a blank; `written` is then the key as it stands in the list,
--                where it is another text
--   $others      whether it lists other buckets too, whose rows are left out
--   $mark        how the text of an error begins
WITH said AS (
    SELECT
        bucket,
        CASE WHEN $encoded THEN url_decode(replace(key, '+', ' ')) ELSE key END AS key,
        CASE WHEN $encoded THEN key END AS written,
        CASE
            WHEN key IS NULL OR key = '' THEN 'has a row without a key'
            WHEN bucket IS DISTINCT FROM $bucket
                THEN concat('has a row of the bucket ''', bucket, ''': ''', key, '''')
            WHEN $encoded AND NOT regexp_full_match(key, '([\x21-\x24\x26-\x7e]|%[0-9A-Fa-f]{2})*')
                THEN concat('has a key that is not URL-encoded, as all of its keys should be: ''', key, '''')
        END AS wrong,
        nullif(version_id, '') AS version_id,
        TRY_CAST(nullif(is_latest::VARCHAR, '') AS BOOLEAN) AS is_latest,
        TRY_CAST(nullif(is_delete_marker::VARCHAR, '') AS BOOLEAN) AS is_delete_marker,
        size AS said_size,
        CASE WHEN regexp_full_match(size::VARCHAR, '[0-9]{1,18}') THEN size::BIGINT END AS size,
        nullif(trim(e_tag, '"'), '') AS etag,
        nullif(last_modified_date::VARCHAR, '') AS said_time,
        TRY_CAST(nullif(last_modified_date::VARCHAR, '') AS TIMESTAMPTZ) AS last_modified,
        nullif(storage_class, '') AS storage_class,
        nullif(checksum_algorithm, '') AS checksum_algorithm,
        filename
    FROM rows
    WHERE NOT $others OR bucket IS NULL OR bucket = $bucket
),

judged AS (
    SELECT
        *,
        CASE
            WHEN wrong IS NOT NULL THEN wrong
            WHEN $versions AND (is_latest IS NULL OR is_delete_marker IS NULL)
                THEN concat('does not say whether it is the current version, or a delete marker: ''', key, '''')
            WHEN size IS NULL AND NOT coalesce(is_delete_marker, false)
                THEN concat('has ''', key, ''' with the size ''', said_size, ''', which is no number of bytes')
            WHEN last_modified IS NULL AND said_time IS NOT NULL
                THEN concat('has ''', key, ''' with the LastModifiedDate ''', said_time, ''', which is no time')
        END AS reason
    FROM said
)

SELECT
    CASE
        WHEN reason IS NOT NULL THEN error(concat($mark, filename, ' ', reason))
        ELSE substr(key, length($prefix) + 1)
    END AS key,
    CASE WHEN $all THEN coalesce(version_id, 'null') END AS version_id,
    coalesce(is_latest, true) AS is_latest,
    size,
    etag,
    last_modified,
    storage_class,
    checksum_algorithm,
    CASE WHEN written <> key AND starts_with(written, $prefix) THEN substr(written, length($prefix) + 1) END AS written
FROM judged
WHERE reason IS NOT NULL
   OR (
       starts_with(key, $prefix)
       AND NOT coalesce(is_delete_marker, false)
       AND ($all OR coalesce(is_latest, true))
       -- The folder marker of the prefix itself, as in a listing.
       AND NOT (key = $prefix AND size = 0)
   )
ORDER BY key, version_id NULLS FIRST
