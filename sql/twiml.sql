-- TwiML verb by verb, and Twilio's signature, for whoever answers a webhook.
SET client_min_messages = warning;
\pset tuples_only on
\pset format unaligned

-- each verb with all that it takes
SELECT mulberry.twiml(jsonb_build_array(v))
  FROM unnest(ARRAY[
    mulberry.twiml_say('hello'), mulberry.twiml_say('bonjour', 'Polly.Lea', 'fr-FR', 2), mulberry.twiml_say('without end', loop => 0),
    mulberry.twiml_play('https://h.example/a.wav', loop => 3), mulberry.twiml_play(digits => 'wW0123456789ABCD*#'), mulberry.twiml_pause(), mulberry.twiml_pause(3),
    mulberry.twiml_gather(), mulberry.twiml_gather('/keys?a=1&b=2', jsonb_build_array(mulberry.twiml_say('one'), mulberry.twiml_pause()), 1, 0, 'none', 'dtmf speech', true, 'POST'),
    mulberry.twiml_gather(finish_on_key => '*'),
    mulberry.twiml_record(), mulberry.twiml_record('/heard', 60, 0, 'none', false, false, '/recording', '/transcription', 'POST'),
    mulberry.twiml_dial('{+12025550100}'), mulberry.twiml_dial('{+12025550100,+12025550101}', '/over', 20, 600, '+12025550102', 'record-from-answer-dual', '/recording', 'w12', true, 'POST'),
    mulberry.twiml_connect('wss://h.example/twilio/ws'), mulberry.twiml_connect('wss://h.example/twilio/ws', '{"a": "1", "b": "<&>"}', 'main', '/stream', '/after', 'POST'),
    mulberry.twiml_start_recording(), mulberry.twiml_start_recording('/recording', 'dual', 'both', true),
    mulberry.twiml_redirect('/next'), mulberry.twiml_redirect('https://h.example/next', 'GET'), mulberry.twiml_reject(), mulberry.twiml_reject('busy'), mulberry.twiml_hangup()]) AS v;

-- what cannot be said is an error that names the verb
\set VERBOSITY terse
CREATE FUNCTION pg_temp.refusal_of(verb jsonb) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    detail text;
BEGIN
    RETURN mulberry.twiml(jsonb_build_array(verb));
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
    RETURN concat_ws(' | ', SQLSTATE, SQLERRM, nullif(detail, ''));
END
$$;
SELECT pg_temp.refusal_of(v)
  FROM unnest(ARRAY[mulberry.twiml_say(NULL), mulberry.twiml_say(''), mulberry.twiml_say(E'\x01\x02'), mulberry.twiml_say(repeat('x', 4000)), mulberry.twiml_say('x', loop => -1),
    mulberry.twiml_play(), mulberry.twiml_play('ftp://h.example'), mulberry.twiml_play(digits => '0E'), mulberry.twiml_pause(0), mulberry.twiml_pause(14401),
    mulberry.twiml_gather(verbs => jsonb_build_array(mulberry.twiml_hangup())), mulberry.twiml_gather(num_digits => 1001), mulberry.twiml_gather(finish_on_key => '12'), mulberry.twiml_gather(input => 'tones'),
    mulberry.twiml_record(max_length => 14401), mulberry.twiml_dial(NULL), mulberry.twiml_dial('{}'), mulberry.twiml_dial('{12345}'), mulberry.twiml_dial('{NULL}'), mulberry.twiml_dial('{+12025550100}', record => 'yes'),
    mulberry.twiml_connect(NULL), mulberry.twiml_connect('https://h.example/'), mulberry.twiml_connect('wss://h.example/?a=b'), mulberry.twiml_connect('wss://h.example/', '{"a": 1}'), mulberry.twiml_connect('wss://h.example/', '["a"]'),
    mulberry.twiml_connect('wss://h.example/', '{"a": {"b": "c"}}'), mulberry.twiml_connect('wss://h.example/', jsonb_build_object('a', repeat('x', 499))),
    mulberry.twiml_start_recording(channels => 'stereo'), mulberry.twiml_redirect(NULL), mulberry.twiml_reject('tired')]) AS v;
-- nor a refusal behind something else
SELECT mulberry.twiml(jsonb_build_array(mulberry.twiml_say('x'), mulberry.twiml_reject()));

-- Characters: a document is well-formed whatever is said, and where this server reads XML it reads back what was said, but for
-- what XML does not allow.
SELECT n AS not_well_formed FROM generate_series(1, 65535) AS n
 WHERE n NOT BETWEEN 55296 AND 57343 AND NOT xml_is_well_formed_document(mulberry.twiml(jsonb_build_array(mulberry.twiml_say('a' || chr(n) || 'b'),
        mulberry.twiml_connect('wss://h.example/', jsonb_build_object('x', 'a' || chr(n) || 'b')))));
SELECT count(*) AS left_out, min(n), max(n) FROM generate_series(1, 65535) AS n
 WHERE n NOT BETWEEN 55296 AND 57343 AND position('ab' IN mulberry.twiml(jsonb_build_array(mulberry.twiml_say('a' || chr(n) || 'b')))) > 0;
SELECT mulberry.twiml(jsonb_build_array(mulberry.twiml_say(E'\U0001F600 \U0010FFFF <script>alert("1" && ''2'')</script> ]]> &#0; \r\n\t')));

-- signatures: the vectors of Twilio's own libraries and ours
\set p '{"CallSid": "CA1234567890ABCDE", "Caller": "+14158675309", "Digits": "1234", "From": "+14158675309", "To": "+18005551212"}'
\set sha '0a1ff7634d9ab3b95db5c9a2dfe9416e41502b283a80c7cf19632632f96e6620'
CREATE TEMP TABLE vectors AS
    SELECT * FROM (VALUES
        ('https://mycompany.com/myapp.php?foo=1&bar=2', :'p'::jsonb, 'RSOYDt4T1cUTdK1PDd93/VVr8B8='),
        ('http://mycompany.com:1234/myapp.php?foo=1&bar=2', :'p', 'Zmvh+3yNM1Phv2jhDCwEM3q5ebU='),
        ('https://mycompany.com:443/myapp.php?foo=1&bar=2', :'p', 'kvajT1Ptam85bY51eRf/AJRuM3w='),
        ('http://mycompany.com:80/myapp.php?foo=1&bar=2', :'p', '0ZXoZLH/DfblKGATFgpif+LLRf4='),
        ('https://user:pass@mycompany.com/myapp.php?foo=1&bar=2', :'p', 'CukzLTc1tT5dXEDIHm/tKBanW10='),
        ('https://user@mycompany.com/myapp.php?foo=1&bar=2', :'p', '2YRLlVAflCqxaNicjMpJcSTgzSs='),
        ('https://user:pass@mycompany.com:443/myapp.php?foo=1&bar=2', :'p', 'ZQFR1PTIZXF2MXB8ZnKCvnnA+rI='),
        ('https://mycompany.com/myapp.php?foo=1&bar=2&Body=It''s+amazing', :'p', 'TfZzewPq8wqrGlMfyAud8+/IvJ0='),
        ('https://mycompany.com/myapp.php?foo=1&bar=2', '{"MessagingBinding.Address": ["+1415xxxxxxx", "+1325xxxxxxx"]}', '83O6e2vORAoJHUNzJjDWN1jz+BA='),
        ('https://mycompany.com/myapp.php?foo=1&bar=2', '{"Sid": "CA123", "SidAccount": "AC123", "Digits": ["5678", "1234", "1234"]}', 'IK+Dwps556ElfBT0I3Rgjkr1wJU='),
        ('https://mycompany.com/myapp.php?foo=1&bar=2', '{}', 'zYQTYrRWXE7LtzbG4PfP7/bkkGo='),
        ('https://example.com/twilio/voice', :'p', 'dzw9jNxUcjXYN3aCP8o7xCY6CqM='),
        ('https://example.com/twilio/voice/', :'p', 'o/3giKAROhwX3bMEvWkcq7K0E3o='),
        ('https://example.com/twilio/voice', E'{"Body": "\uC548\uB155 \u260E \u00E9", "From": "+821012345678"}', 'FFUZnDzKKiHJGxW7dSm+3Pra8oQ='),
        ('https://example.com/twilio/voice', '{"A": "", "B": "x"}', 'ob5YCi68rrmlofyZy6yFMFC1gbE='),
        ('https://example.com/twilio/voice', '{"b": "1", "B": "2", "a": "3", "_x": "4"}', 'Ppl/7Fwwr++5UjAbhHTVXq8QICE='),
        ('wss://example.com/twilio/ws', '{}', 'xoZgYpcwfrqx4dXhq1dlNlCveB4='),
        ('https://mycompany.com/myapp.php?foo=1&bar=2&bodySHA256=' || :'sha', '{}', 'a9nBmqA0ju/hNViExpshrM61xv4='),
        ('https://mycompany.com/myapp.php?bodySHA256=' || :'sha', '{}', 'y77kIzt2vzLz71DgmJGsen2scGs=')) AS v (url, params, signature);
-- (one of them was made with the quote as %27, which only the check finds out)
SELECT url, mulberry.twilio_signature(url, params, '12345') AS made FROM vectors WHERE mulberry.twilio_signature(url, params, '12345') <> signature;
SELECT url, signature FROM vectors WHERE NOT mulberry.twilio_signature_valid(url, params, signature, '12345', websocket => url ~ '^wss');
-- with and without the port
SELECT mulberry.twilio_signature_valid(url, :'p', signature, '12345'), url
  FROM (VALUES ('https://mycompany.com:1234/myapp.php?foo=1&bar=2', 'RSOYDt4T1cUTdK1PDd93/VVr8B8='), ('https://mycompany.com/myapp.php?foo=1&bar=2', 'kvajT1Ptam85bY51eRf/AJRuM3w='),
               ('http://mycompany.com/myapp.php?foo=1&bar=2', '0ZXoZLH/DfblKGATFgpif+LLRf4='), ('http://mycompany.com/myapp.php?foo=1&bar=2', 'Zmvh+3yNM1Phv2jhDCwEM3q5ebU=')) AS v (url, signature);
-- a body: both its hash and the signature must hold
SELECT mulberry.twilio_signature_valid(url, NULL, 'a9nBmqA0ju/hNViExpshrM61xv4=', '12345', convert_to(body, 'UTF8')), body
  FROM (VALUES ('https://mycompany.com/myapp.php?foo=1&bar=2&bodySHA256=' || :'sha', '{"property": "value", "boolean": true}'),
               ('https://mycompany.com/myapp.php?foo=1&bar=2&bodySHA256=' || :'sha', '{"property": "value", "boolean": false}'),
               ('https://mycompany.com/myapp.php?foo=1&bar=2&bodySHA256=' || :'sha', '')) AS v (url, body);
SELECT mulberry.twilio_signature_valid('https://mycompany.com/myapp.php?foo=1&bar=2&bodySHA256=44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a', NULL, signature, '12345', '{}')
  FROM (VALUES ('rw/jVviOgicj2+kHZULvebnA4ag='), ('Ldidvp12m26NI7eqEvxnEpkd9Hc=')) AS v (signature);
-- unsigned body: the URL alone proves nothing of it
SELECT mulberry.twilio_signature_valid('https://mycompany.com/myapp.php?foo=1&bar=2', NULL, 'zYQTYrRWXE7LtzbG4PfP7/bkkGo=', '12345', '{}');
-- the upgrade to a WebSocket
SELECT mulberry.twilio_signature_valid(url, NULL, signature, '12345', websocket => true), url
  FROM (VALUES ('wss://example.com/twilio/ws', 'maFQ5G7dxG8VMN7A++ACbDHuzYM='), ('wss://example.com/twilio/ws', 'Q07YqslrYN9YKtigTpe50qXi4wI='), ('https://example.com/twilio/ws', 'xoZgYpcwfrqx4dXhq1dlNlCveB4='),
               ('https://example.com/twilio/ws', 'RwbewBMjo9nUglwuohcCq6TdZGw='), ('wss://example.com/twilio/ws?clinicId=c1&token=abc', 'VhLPH30+WcYJWpUS+KInwM1m69A='),
               ('wss://example.com/twilio/ws?clinicId=c1&token=abc', 'QEF5ztSXkU73Et68doENiy8NMPg=')) AS v (url, signature);
-- another token, nothing, and what is no signature
SELECT mulberry.twilio_signature_valid('https://example.com/', '{}', mulberry.twilio_signature('https://example.com/', '{}', 'a'), 'b'),
       mulberry.twilio_signature_valid('https://example.com/', '{}', '', 'b'), mulberry.twilio_signature_valid('https://example.com/', '{}', NULL, 'b'),
       mulberry.twilio_signature_valid('https://example.com/', '{}', mulberry.twilio_signature('https://example.com/', '{}', ''), '');
SELECT mulberry.twilio_signature('https://example.com/', '[1]', 'x');
SELECT mulberry.twilio_signature('https://example.com/', '{"a": 1}', 'x');

-- forms as they come
SELECT mulberry_internal.twilio_parameters(type, body)
  FROM (VALUES ('application/x-www-form-urlencoded', 'a=1&b=%2B49+30&a=2&c&=d'::bytea), ('Application/X-WWW-Form-Urlencoded; charset=UTF-8', 'CallerName=M%FCller%00%E2%82%AC&x=%F0%9F%98%80'),
               ('application/json', '{"a": 1}'), ('application/x-www-form-urlencodedness', 'a=1'), ('', ''), ('application/json', '')) AS v (type, body);
