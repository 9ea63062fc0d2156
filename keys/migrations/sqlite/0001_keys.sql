-- API keys. Times are milliseconds since 1970 in UTC; NULL is never.
CREATE TABLE keys (
    id          TEXT    NOT NULL PRIMARY KEY,
    hash        TEXT    NOT NULL UNIQUE, -- algorithm:hexadecimal, never the key
    name        TEXT    NOT NULL,
    owner       TEXT    NOT NULL,
    tenant      TEXT    NOT NULL,
    permissions TEXT    NOT NULL,        -- a JSON array of strings
    created_at  INTEGER NOT NULL,
    expires_at  INTEGER,
    revoked_at  INTEGER
) STRICT;

-- The feed that every running gateway follows: for each key the number of its
-- last change. AUTOINCREMENT never gives a number twice, and SQLite commits one
-- writer at a time, so a reader that remembers the last number misses nothing.
CREATE TABLE key_changes (
    seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    id  TEXT    NOT NULL UNIQUE
) STRICT;

-- Triggers feed it, so that no way of writing can forget to, not even sqlite3
-- in an operator's hand.
CREATE TRIGGER keys_inserted AFTER INSERT ON keys BEGIN
    DELETE FROM key_changes WHERE id = NEW.id;
    INSERT INTO key_changes (id) VALUES (NEW.id);
END;
CREATE TRIGGER keys_updated AFTER UPDATE ON keys BEGIN
    DELETE FROM key_changes WHERE id IN (OLD.id, NEW.id);
    INSERT INTO key_changes (id) VALUES (OLD.id) ON CONFLICT DO NOTHING;
    INSERT INTO key_changes (id) VALUES (NEW.id) ON CONFLICT DO NOTHING;
END;
CREATE TRIGGER keys_deleted AFTER DELETE ON keys BEGIN
    DELETE FROM key_changes WHERE id = OLD.id;
    INSERT INTO key_changes (id) VALUES (OLD.id);
END;
