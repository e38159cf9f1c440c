-- How the objects of a bucket stand to their term. The view `now` holds the snapshot's objects as they are.
WITH told AS (
    SELECT
        *,
        -- S3 reads archived objects in its own jobs.
        left_out IS NULL OR $reads_archived AS is_read,
        verified_at IS NULL AS never,
        coalesce(verified_at > $now - to_microseconds($every::BIGINT), false) AS within_term,
        -- One that was restored counts as checked as long as its check is within the term.
        is_read OR within_term AS to_check,
        -- An object that has just fallen due waits for its batch; a new one has a term to be checked in.
        coalesce(verified_at, listed_since) + to_microseconds($every::BIGINT) + to_microseconds($grace::BIGINT)
            < $now AS beyond
    FROM (
        SELECT * REPLACE (trusted(verified_at, $now + INTERVAL 1 DAY) AS verified_at) FROM now
    )
    WHERE listed
)

SELECT
    count(*) AS objects,
    count(*) FILTER (WHERE to_check AND within_term) AS within_term,
    count(*) FILTER (WHERE to_check AND NOT within_term AND NOT never) AS due,
    count(*) FILTER (WHERE to_check AND never) AS never,
    count(*) FILTER (WHERE to_check AND beyond) AS overdue,
    count(*) FILTER (WHERE to_check AND failures > 0) AS failing,
    count(*) FILTER (WHERE damaged_at IS NOT NULL) AS damaged,
    count(*) FILTER (WHERE NOT to_check) AS archived,
    min(verified_at) FILTER (WHERE to_check) AS oldest,
    max(verified_at) AS newest,
    count(*) FILTER (WHERE to_check AND verified_at > $now - INTERVAL 7 DAYS) AS in_a_week,
    count(*) FILTER (WHERE is_read) AS read,
    coalesce(sum(size) FILTER (WHERE is_read), 0)::BIGINT AS size
FROM told
