-- The keys of a list of versions of which it has no current one: how many, and the first of them.
-- In: the view `rows`, $prefix and $encoded: see rows.sql.
WITH said AS (
    SELECT
        CASE WHEN $encoded THEN url_decode(replace(key, '+', ' ')) ELSE key END AS key,
        coalesce(TRY_CAST(nullif(is_latest::VARCHAR, '') AS BOOLEAN), true) AS is_latest
    FROM rows
)

SELECT count(*), min(key)
FROM (SELECT DISTINCT key FROM said WHERE NOT is_latest AND starts_with(key, $prefix)) AS former
ANTI JOIN (SELECT key FROM said WHERE is_latest) AS current USING (key)
