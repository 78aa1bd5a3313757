-- sentiment(): what the lexicon of the core says, as a row.
\pset numericlocale off
SELECT t.text, s.sentiment, round(s.confidence::numeric, 3) AS confidence, round(s.score::numeric, 3) AS score,
       s.positive, s.negative, s.words, s.hits
  FROM (VALUES (1, 'Thank you so much, that was very helpful!'),
               (2, 'The agent was nice but my problem is still not solved.'),
               (3, 'My account number is four five six.'),
               (4, 'It is not bad at all.'),
               (5, 'good'),
               (6, '')) AS t (n, text),
       mulberry.sentiment(t.text) s
 ORDER BY t.n;

-- strict; case and typographic apostrophes do not matter
SELECT (mulberry.sentiment(NULL)).sentiment IS NULL AS null_for_null;
SELECT (mulberry.sentiment(U&'I CAN\2019T STAND IT')).negative;

-- callable in parallel workers and in indexes
SELECT provolatile, proparallel FROM pg_proc WHERE oid = 'mulberry.sentiment(text)'::regprocedure;
SELECT name AS parallel FROM pg_settings WHERE name IN ('force_parallel_mode', 'debug_parallel_query') \gset
SET :parallel = on;
SELECT (mulberry.sentiment('a wonderful day')).sentiment;
RESET :parallel;

-- long texts
SELECT (s).sentiment, (s).words, (s).hits
  FROM mulberry.sentiment(repeat('The agent was nice but my problem is not solved. ', 1000)) s;
