-- Folds new checks into the rows of the snapshot before: one row for each object version of one range of keys.
-- In: the views `listing` (an inventory), `prior` (the snapshot before) and `news` (checks that are not in it, those
-- of ingest tables of earlier versions among them, with `only_verdict`). Out: rows of the snapshot, in any order.
-- Three files are one statement (`fixity.ledger.fold`): `fold_checks` says what each check means, `fold_damage` which
-- objects are damaged, and this makes a row of the snapshot from both and the listing.
--
-- An object version is identified by content(…): its version, or where there is none, ETag, time and size.
-- Times of one object, in addition to the columns:
--   made_at    when a check was made; one in the future (after $horizon) is treated as 1970
--   read_at    the last check that read the bytes      right_at   the last that found them right
--   damaged_at the first that found them wrong, and that no later check of the same or greater strength took back
folded AS (
    SELECT
        key,
        content,
        CASE
            WHEN c.newest IS NOT NULL AND (b.made_at IS NULL OR c.made_at >= b.made_at) THEN c.newest
            ELSE struct_pack(
                version_id := b.version_id, size := b.size, etag := b.etag, last_modified := b.last_modified,
                storage_class := b.storage_class, algorithm := b.algorithm, checksum_type := b.checksum_type,
                checksum := b.checksum, status := b.status, error_code := b.error_code,
                error_message := b.error_message, bytes_read := b.bytes_read, evidence := b.evidence,
                checked_at := b.checked_at, run_id := b.run_id, is_latest := b.is_latest,
                expected := b.expected, expected_algorithm := b.expected_algorithm,
                expected_from := b.expected_from, verdict := b.verdict, reads := b.reads,
                other_checksums := b.other_checksums
            )
        END AS newest,
        greatest(b.made_at, c.made_at) AS made_at,
        b.listed_since,
        b.last_listed_at,
        CASE
            WHEN c.own IS NULL OR strength(c.own.base_from, $algorithm) < b.own_strength
                OR (c.own.base = b.own_base AND c.own.base_from = b.baseline_from)
                OR (c.own.base_from = 'first_seen' AND b.own_strength = 0 AND c.own.at >= b.baseline_at)
                THEN struct_pack(
                    base := b.own_base, base_from := b.baseline_from, at := b.baseline_at, run_id := b.baseline_run
                )
            WHEN c.own_is_one THEN struct_pack(
                base := c.own.base, base_from := c.own.base_from, at := c.own_first.at,
                run_id := c.own_first.run_id
            )
            ELSE c.own
        END AS own,
        CASE
            WHEN b.other.base IS NULL
                OR strength(c.other.base_from, c.other.algorithm) >= strength(b.other.base_from, b.other.algorithm)
                THEN c.other
            ELSE b.other
        END AS other,
        c.proved_by,
        greatest(b.read_at, c.read_at) AS read_at,
        CASE WHEN b.read_at IS NULL OR c.read_at >= b.read_at THEN c.verified_at ELSE b.verified_at END AS verified_at,
        CASE WHEN b.right_at IS NULL OR c.right_at >= b.right_at THEN c.good_at ELSE b.good_at END AS good_at,
        (
            CASE WHEN c.read_at IS NULL OR c.read_at <= b.read_at THEN coalesce(b.failures, 0) ELSE 0 END
            + coalesce(
                len(list_filter(
                    c.without_result, lambda each: coalesce(each > greatest(b.read_at, c.read_at), true)
                )),
                0
            )
        )::INTEGER AS failures
    FROM (
        SELECT
            *,
            CASE WHEN baseline_algorithm = $algorithm THEN baseline END AS own_base,
            CASE WHEN baseline_algorithm = $algorithm THEN strength(baseline_from, baseline_algorithm) END
                AS own_strength,
            -- The baseline of the bucket's former algorithm proves the new checksum.
            CASE
                WHEN baseline_algorithm <> $algorithm
                    THEN struct_pack(base := baseline, algorithm := baseline_algorithm, base_from := baseline_from)
                ELSE struct_pack(base := record, algorithm := record_algorithm, base_from := record_from)
            END AS other
        FROM before
    ) AS b
    FULL JOIN changed AS c USING (key, content)
),

listed AS (
    SELECT *, content(version_id, etag, last_modified, size) AS content
    FROM listing
    WHERE key >= $lower AND ($upper IS NULL OR key < $upper)
)

SELECT
    key,
    CASE WHEN i.key IS NULL THEN f.newest.version_id ELSE i.version_id END AS version_id,
    CASE WHEN i.key IS NULL THEN f.newest.size ELSE i.size END AS size,
    CASE WHEN i.key IS NULL THEN f.newest.etag ELSE i.etag END AS etag,
    CASE WHEN i.key IS NULL THEN f.newest.last_modified ELSE i.last_modified END AS last_modified,
    CASE WHEN i.key IS NULL THEN f.newest.storage_class ELSE i.storage_class END AS storage_class,
    f.newest.algorithm AS algorithm,
    f.newest.checksum_type AS checksum_type,
    f.newest.checksum AS checksum,
    f.newest.status AS status,
    f.newest.error_code AS error_code,
    f.newest.error_message AS error_message,
    f.newest.bytes_read AS bytes_read,
    f.newest.evidence AS evidence,
    f.newest.checked_at AS checked_at,
    f.newest.run_id AS run_id,
    CASE WHEN i.key IS NULL THEN f.newest.is_latest ELSE i.is_latest END AS is_latest,
    f.newest.expected AS expected,
    f.newest.expected_algorithm AS expected_algorithm,
    f.newest.expected_from AS expected_from,
    f.newest.verdict AS verdict,
    f.newest.reads AS reads,
    f.newest.other_checksums AS other_checksums,
    i.key IS NOT NULL AS listed,
    CASE WHEN i.key IS NULL THEN f.listed_since ELSE coalesce(f.listed_since, $listed_at) END AS listed_since,
    CASE WHEN i.key IS NULL THEN f.last_listed_at ELSE $listed_at END AS last_listed_at,
    CASE WHEN i.storage_class IN ('GLACIER', 'DEEP_ARCHIVE') THEN 'archived' END AS left_out,
    f.own.base AS baseline,
    CASE WHEN f.own.base IS NOT NULL THEN $algorithm END AS baseline_algorithm,
    f.own.base_from AS baseline_from,
    f.own.at AS baseline_at,
    f.own.run_id AS baseline_run,
    -- A record that has proved the baseline of the bucket's own algorithm is not computed again.
    CASE WHEN NOT proved THEN f.other.base END AS record,
    CASE WHEN NOT proved THEN f.other.algorithm END AS record_algorithm,
    CASE WHEN NOT proved THEN f.other.base_from END AS record_from,
    f.verified_at,
    CASE WHEN d.key IS NULL THEN f.good_at ELSE g.good_at END AS good_at,
    d.damaged_at,
    d.found_at,
    d.by.found AS found,
    d.by.found_algorithm AS found_algorithm,
    d.by.found_against AS found_against,
    d.by.found_from AS found_from,
    coalesce(f.failures, 0)::INTEGER AS failures,
    CASE
        -- A check without a result is repeated after a wait that grows from an hour to a day. Where others read the
        -- bucket, only one of the platform's own, which was of the sample.
        WHEN f.failures > 0 AND ($is_rolled OR ($sample IS NOT NULL AND f.newest.evidence = 'streamed'))
            THEN f.made_at + to_microseconds(
                least(3600000000 * (1::BIGINT << least(f.failures - 1, 5)), 86400000000, $every)::BIGINT
            )
        -- Others read the bucket: the platform reads the sample alone.
        WHEN NOT $is_rolled
            THEN coalesce(
                drawn_after($seed, $sample, $every, key, version_id, greatest(
                    coalesce(f.made_at, f.listed_since, $listed_at), $horizon - to_microseconds($every::BIGINT)
                )),
                TIMESTAMPTZ '9999-01-01 00:00:00+00'
            )
        WHEN f.read_at IS NOT NULL
            THEN least(
                f.read_at + to_microseconds($every::BIGINT),
                drawn_after($seed, $sample, $every, key, version_id, f.read_at)
            )
    END AS due_at
FROM listed AS i
FULL JOIN (
    SELECT
        *, coalesce(proved_by >= strength(other.base_from, other.algorithm), other.base IS NULL) AS proved
    FROM folded
) AS f USING (key, content)
LEFT JOIN damaged AS d USING (key, content)
LEFT JOIN last_right AS g USING (key, content)
