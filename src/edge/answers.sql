CREATE OR REPLACE FUNCTION spoken_result(command text, mandate text, argument integer, status text, state text,
                              OUT message text, OUT speech text)
LANGUAGE sql IMMUTABLE
BEGIN ATOMIC
    SELECT format('%s: %s', coalesce(s.what || ' ' || mandate, s.what), s.becomes),
           format('%s %s.', coalesce(s.what || ' ' || array_to_string(string_to_array(mandate, NULL), ' '), s.what), s.becomes)
      FROM (SELECT CASE WHEN k.has_mandate THEN 'Mandate' WHEN command IS NULL OR status = 'refused' THEN 'Command'
                        ELSE 'Agent' END AS what,
                   CASE
                       WHEN status = 'challenge wanted' THEN 'must be confirmed'
                       WHEN status = 'refused' AND state = 'REVOKED' THEN 'is revoked and stays so'
                       WHEN status = 'refused' THEN 'refused'
                       WHEN status = 'unknown mandate' THEN 'is not known'
                       WHEN NOT k.has_mandate THEN k.done
                       WHEN k.asks OR status = 'already so'
                           THEN CASE state WHEN 'NONE' THEN 'is not known' ELSE 'is ' || lower(state COLLATE "C") END
                       WHEN k.most_argument > 0
                           THEN format('%s by %s %s', k.done, argument, CASE argument WHEN 1 THEN 'day' ELSE 'days' END)
                       ELSE coalesce(k.done, 'done')
                   END AS becomes
              FROM (SELECT) AS one
              LEFT JOIN LATERAL mulberry_internal.command_kind(command) AS k ON true) AS s;
END;
COMMENT ON FUNCTION spoken_result(text, text, integer, text, text) IS
    'an acknowledgement in words, for logs and to be spoken (internal)';

CREATE OR REPLACE FUNCTION refusal(verdict text, error text, message text) RETURNS command_answer
LANGUAGE sql IMMUTABLE
-- A: play it again; D: no, whatever the reason.  Neither is ever part of a frame.
RETURN ROW(false, NULL, NULL, NULL, error, message,
            CASE WHEN verdict IN ('decode error', 'no frame', 'not judged') THEN 'A' ELSE 'D' END, NULL,
            CASE WHEN verdict IN ('decode error', 'no frame', 'not judged') THEN 'Please repeat the command.'
                 ELSE 'Invalid command.' END,
            NULL, verdict, false, NULL, 1)::mulberry.command_answer;
COMMENT ON FUNCTION refusal(text, text, text) IS 'the answer to what was not accepted: one tone pair without a signature (internal)';
