-- A rotated key goes on under its previous hash until previous_until.
ALTER TABLE keys ADD COLUMN previous_hash  TEXT;
ALTER TABLE keys ADD COLUMN previous_until INTEGER;
ALTER TABLE keys ADD COLUMN labels         TEXT    NOT NULL DEFAULT '{}'; -- a JSON object of strings
-- Made by another program: its text does not hold its id.
ALTER TABLE keys ADD COLUMN imported       INTEGER NOT NULL DEFAULT 0;
CREATE UNIQUE INDEX keys_previous_hash ON keys (previous_hash);
CREATE INDEX keys_imported ON keys (id) WHERE imported;

-- Beside keys, not in it: a use is no change, and nobody follows it.
CREATE TABLE key_uses (
    id      TEXT    NOT NULL PRIMARY KEY,
    used_at INTEGER NOT NULL
) STRICT;
CREATE TRIGGER key_uses_end AFTER DELETE ON keys BEGIN
    DELETE FROM key_uses WHERE id = OLD.id;
END;

-- What commands changed: written in the transaction of the change.
CREATE TABLE key_audit (
    seq    INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    at     INTEGER NOT NULL,
    actor  TEXT    NOT NULL,
    action TEXT    NOT NULL,
    key_id TEXT    NOT NULL,
    detail TEXT    NOT NULL -- a JSON object, never a secret
) STRICT;
CREATE INDEX key_audit_of_key ON key_audit (key_id, seq);
