-- Objects of the inventory before that a provider's list lacks, within one range of keys, in order.
-- In: $before and $listed, files of both, with the numbers of the first and last row that may be in the range.
SELECT before.key, before.version_id
FROM (
    SELECT key, version_id
    FROM read_parquet($before)
    WHERE file_row_number BETWEEN $before_first AND $before_last AND key >= $lower AND ($upper IS NULL OR key < $upper)
) AS before
ANTI JOIN (
    SELECT key, version_id
    FROM read_parquet($listed)
    WHERE file_row_number BETWEEN $listed_first AND $listed_last AND key >= $lower AND ($upper IS NULL OR key < $upper)
) AS listed
    ON listed.key = before.key AND listed.version_id IS NOT DISTINCT FROM before.version_id
ORDER BY before.key, before.version_id NULLS FIRST
