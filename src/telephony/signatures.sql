-- Who sent a webhook: Twilio's signature.

CREATE OR REPLACE FUNCTION mulberry.twilio_signature(url text, params jsonb, token text) RETURNS text
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'mulberry_twilio_signature';
COMMENT ON FUNCTION mulberry.twilio_signature(text, jsonb, text) IS
    'the X-Twilio-Signature of exactly this URL with these parameters, {"name": "value" or ["value", ...]}, by an auth token';

CREATE OR REPLACE FUNCTION mulberry.twilio_signature_valid(url text, params jsonb, signature text, token text, body bytea DEFAULT NULL,
    websocket boolean DEFAULT false) RETURNS boolean
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'mulberry_twilio_signature_valid';
COMMENT ON FUNCTION mulberry.twilio_signature_valid(text, jsonb, text, text, bytea, boolean) IS
    'whether X-Twilio-Signature is that of a request, by an auth token, with or without the port in the URL: of a form with these '
    'parameters; of a body that is none, whose SHA-256 the URL must have as bodySHA256; or of the upgrade to a WebSocket';

CREATE OR REPLACE FUNCTION check_twilio_signature(tenant uuid, secret text, url text, params jsonb, signature text) RETURNS boolean
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'mulberry_check_twilio_signature';
COMMENT ON FUNCTION check_twilio_signature(uuid, text, text, jsonb, text) IS
    'whether X-Twilio-Signature is that of URL and parameters, by the auth token that is stored under this name; false without one, '
    'after the same work. What the transaction does will be on disk when it is committed (internal)';

CREATE OR REPLACE FUNCTION check_twilio_body(tenant uuid, secret text, url text, content_type text, body bytea, signature text)
RETURNS boolean
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'mulberry_check_twilio_body';
COMMENT ON FUNCTION check_twilio_body(uuid, text, text, text, bytea, text) IS
    'check_twilio_signature() for a body as it came: a form, or anything else, whose SHA-256 the URL must have (internal)';

CREATE OR REPLACE FUNCTION check_twilio_socket(tenant uuid, secret text, url text, signature text) RETURNS boolean
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'mulberry_check_twilio_socket';
COMMENT ON FUNCTION check_twilio_socket(uuid, text, text, text) IS
    'check_twilio_signature() for the upgrade to a WebSocket, whose URL is signed as wss://; promises nothing of the disk (internal)';

CREATE OR REPLACE FUNCTION twilio_parameters(content_type text, body bytea) RETURNS jsonb
LANGUAGE c IMMUTABLE STRICT AS 'MODULE_PATHNAME', 'mulberry_twilio_parameters';
COMMENT ON FUNCTION twilio_parameters(text, bytea) IS
    'the fields of a form, {"name": "value" or ["value", ...]}; what is no text here has question marks; null: the body is none (internal)';
