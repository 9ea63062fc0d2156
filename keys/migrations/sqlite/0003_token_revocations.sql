-- Tokens that were taken back before they expire. Times are milliseconds since
-- 1970 in UTC; NULL is never. Of token_id and subject at most one is not empty.
CREATE TABLE token_revocations (
    id            INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    issuer        TEXT    NOT NULL CHECK (issuer <> ''),
    token_id      TEXT    NOT NULL DEFAULT '',
    subject       TEXT    NOT NULL DEFAULT '',
    issued_before INTEGER,
    until         INTEGER,
    at            INTEGER NOT NULL DEFAULT 0,
    actor         TEXT    NOT NULL DEFAULT '',
    why           TEXT    NOT NULL DEFAULT '',
    CHECK (token_id = '' OR subject = ''),
    CHECK ((token_id = '') = (issued_before IS NOT NULL))
) STRICT;

-- What gateways follow: the highest id, and this count of rows that were changed
-- or deleted.
CREATE TABLE token_revocations_state (rewritten INTEGER NOT NULL) STRICT;
INSERT INTO token_revocations_state (rewritten) VALUES (0);

CREATE TRIGGER token_revocations_updated AFTER UPDATE ON token_revocations BEGIN
    UPDATE token_revocations_state SET rewritten = rewritten + 1;
END;
CREATE TRIGGER token_revocations_deleted AFTER DELETE ON token_revocations BEGIN
    UPDATE token_revocations_state SET rewritten = rewritten + 1;
END;
