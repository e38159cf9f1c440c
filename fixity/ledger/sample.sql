-- When an object is next drawn for the random sample, after a moment; NULL where it is not, or there is no sample.
-- Time is cut into terms of {every} microseconds since 1970. In each term each object gets one place in a random
-- order, a number from 0 to 1 by its key, its version and the seed. Of this order {sample} a microsecond is drawn, from
-- the term's beginning on; so no object is drawn twice in a term, and what is drawn when can be computed again.
-- After a read only its own term and the next one count: by then the object is due by its term.
CREATE OR REPLACE TEMP MACRO drawn_in(seed, sample, every, key, version_id, term) AS
    term * every + floor(
        md5_number_lower(concat_ws(chr(10), seed, term::BIGINT, coalesce(version_id, ''), key))
        / 18446744073709551616.0 / sample
    )::BIGINT;

CREATE OR REPLACE TEMP MACRO drawn_after(seed, sample, every, key, version_id, moment) AS CASE
    WHEN sample IS NOT NULL THEN make_timestamptz(list_min(list_filter(
        [
            [drawn_in(seed, sample, every, key, version_id, term), (term + 1) * every]
            FOR term IN [epoch_us(moment) // every, epoch_us(moment) // every + 1]
        ],
        lambda each: each[1] < each[2] AND each[1] > epoch_us(moment)
    ))[1])
END;
