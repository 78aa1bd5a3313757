-- Sentiment by a word list: the default, when no chat endpoint is configured.
CREATE OR REPLACE FUNCTION mulberry.sentiment(
    text,
    OUT sentiment text, OUT confidence double precision, OUT score double precision,
    OUT positive double precision, OUT negative double precision, OUT words integer, OUT hits integer
) LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'mulberry_sentiment';
COMMENT ON FUNCTION mulberry.sentiment(text) IS
    'sentiment of an English text by AFINN-165 and the words of telephone calls: positive, neutral or negative; score from -1 to 1, '
    'neutral between -0.25 and 0.25; confidence from 0.5 to 1 by distance from the threshold and number of words, 0 for a text without '
    'words; positive and negative are the sums behind the score, hits the words that carried them';
