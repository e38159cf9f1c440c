-- In: a job's checks of a range of keys (`checks`, with the number of each `row`), and the bucket's ledger. $lower and
-- $upper: the first and the last key. Out: for each check, in order, what is wrong with its COMPOSITE checksum.
WITH
-- The first one counts, as with other checksums that are expected of an object without a record.
firsts AS (
    SELECT
        key,
        content(version_id, etag, last_modified, size) AS content,
        algorithm,
        arg_min(checksum, checked_at) AS first_checksum,
        min(checked_at) AS first_at
    FROM ledger
    WHERE key BETWEEN $lower AND $upper
      AND evidence = 's3_batch' AND status = 'succeeded' AND checksum_type = 'COMPOSITE' AND checksum IS NOT NULL
    GROUP BY ALL
)
SELECT
    CASE WHEN first_checksum <> checksum THEN concat(
        'the COMPOSITE checksum is ', left(checksum, 64), ', but ', left(first_checksum, 64), ' at ',
        strftime(first_at AT TIME ZONE 'UTC', '%Y-%m-%d %H:%M'),
        ' UTC, though nobody has written the object: its bytes have changed, or S3 reads it in other parts. ',
        'Compare it with another copy, and choose `checksum_type: FULL_OBJECT`'
    ) END AS said
FROM checks AS c
LEFT JOIN firsts AS f
    ON f.key = c.key AND f.content = content(c.version_id, c.etag, c.last_modified, c.size)
   AND f.algorithm = c.algorithm AND c.checksum_type = 'COMPOSITE'
ORDER BY c.row
