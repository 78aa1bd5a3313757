-- Business hours: intervals of a weekday or of a holiday, by the clock on the wall of a time zone.

CREATE OR REPLACE FUNCTION hours_valid(interval_of_day text) RETURNS boolean
LANGUAGE sql IMMUTABLE
RETURN interval_of_day COLLATE "C" ~ '^([01][0-9]|2[0-3]):[0-5][0-9]-(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$'
   AND left(interval_of_day, 5) COLLATE "C" <> right(interval_of_day, 5) COLLATE "C";
COMMENT ON FUNCTION hours_valid(text) IS
    'whether a text is an interval of business hours, as in 09:00-17:30, 22:00-02:00 over midnight, or 00:00-24:00 (internal)';

CREATE OR REPLACE FUNCTION holiday(settings jsonb, day date) RETURNS jsonb
LANGUAGE sql IMMUTABLE
RETURN coalesce(settings->'holidays'->to_char(day::timestamp, 'YYYY-MM-DD'), settings->'holidays'->to_char(day::timestamp, 'MM-DD'));
COMMENT ON FUNCTION holiday(jsonb, date) IS
    'what settings say of a day that is a holiday, of that year or of every year: {"hours", "closed"}; null: it is none (internal)';

CREATE OR REPLACE FUNCTION hours_of(settings jsonb, day date) RETURNS jsonb
LANGUAGE sql IMMUTABLE
RETURN CASE WHEN mulberry_internal.holiday(settings, day) IS NOT NULL
            THEN coalesce(mulberry_internal.holiday(settings, day)->'hours', '[]')
            ELSE coalesce(settings->'hours'->(ARRAY['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'])[extract(isodow FROM day)::integer],
                          '[]') END;
COMMENT ON FUNCTION hours_of(jsonb, date) IS 'the intervals that begin on a day, ["09:00-17:30", ...] (internal)';

CREATE OR REPLACE FUNCTION business_hours(settings jsonb, at timestamptz, OUT open boolean, OUT closed text)
LANGUAGE plpgsql STABLE
AS $$
DECLARE
    clock timestamp;
    day   date;
    now   time;
BEGIN
    open := true;
    IF NOT settings ? 'hours' AND NOT settings ? 'holidays' THEN
        RETURN;
    END IF;
    BEGIN
        clock := at AT TIME ZONE coalesce(settings->>'time_zone', 'UTC');
    EXCEPTION WHEN invalid_parameter_value THEN
        -- it was there when the settings were written: a server that has another list of zones answers all the same
        RETURN;
    END;
    day := clock::date;
    now := clock::time;
    IF NOT settings ? 'hours' AND mulberry_internal.holiday(settings, day) IS NULL THEN
        RETURN;
    END IF;
    -- what goes over midnight belongs to the day on which it begins
    open := EXISTS (SELECT FROM jsonb_array_elements_text(mulberry_internal.hours_of(settings, day)) AS h (span)
                     WHERE now >= left(h.span, 5)::time
                       AND (now < right(h.span, 5)::time OR right(h.span, 5) COLLATE "C" < left(h.span, 5) COLLATE "C"))
         OR EXISTS (SELECT FROM jsonb_array_elements_text(mulberry_internal.hours_of(settings, day - 1)) AS h (span)
                     WHERE right(h.span, 5) COLLATE "C" < left(h.span, 5) COLLATE "C" AND now < right(h.span, 5)::time);
    closed := CASE WHEN NOT open THEN mulberry_internal.holiday(settings, day)->>'closed' END;
END
$$;
COMMENT ON FUNCTION business_hours(jsonb, timestamptz) IS
    'whether a tenant with these settings is there at a time, by the clock on the wall in its time zone, whatever summer time does to it; '
    'and, on a holiday, what callers are told. Without hours it is always there, but on holidays (internal)';
