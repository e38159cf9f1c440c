-- An inventory with the expected checksums of each object, for one range of keys, in the inventory's order.
-- In: `$inventory`, the view `now` (the snapshot as it is now) and the view `records` (recorded checksums, none
-- or some of each object). Out: the inventory's columns and `expectations`, a list with the strongest first.
WITH listed AS (
    SELECT *, content(version_id, etag, last_modified, size) AS content
    FROM read_parquet($inventory)
    WHERE key >= $lower AND ($upper IS NULL OR key < $upper)
),

of_records AS (
    SELECT
        key,
        version_id,
        list(
            struct_pack(
                strength := strength(recorded_as, algorithm), algorithm, checksum, source := recorded_as,
                known_to_differ := false
            )
            ORDER BY rank, recorded_at DESC NULLS LAST, recorded_in, algorithm, checksum
        ) AS expectations
    FROM records
    WHERE key >= $lower AND ($upper IS NULL OR key < $upper) AND listed AND problem IS NULL
    GROUP BY key, version_id
),

of_snapshot AS (
    SELECT key, content, expectations(
        baseline, baseline_algorithm, baseline_from, record, record_algorithm, record_from, damaged_at IS NOT NULL
    ) AS expectations
    FROM now
    WHERE key >= $lower AND ($upper IS NULL OR key < $upper)
)

SELECT
    l.* EXCLUDE (content),
    -- A record that is gathered now comes before one of the same strength from the ledger: it is newer.
    CASE
        WHEN r.expectations IS NULL THEN plain(s.expectations)
        WHEN s.expectations IS NULL THEN plain(r.expectations)
        ELSE plain(list_concat(
            list_filter(r.expectations, lambda each: each.strength >= s.expectations[1].strength),
            s.expectations,
            list_filter(r.expectations, lambda each: each.strength < s.expectations[1].strength)
        ))
    END AS expectations
FROM listed AS l
LEFT JOIN of_snapshot AS s USING (key, content)
LEFT JOIN of_records AS r ON r.key = l.key AND r.version_id IS NOT DISTINCT FROM l.version_id
ORDER BY l.key, l.version_id NULLS FIRST
