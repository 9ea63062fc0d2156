-- API keys. Times are milliseconds since 1970 in UTC; NULL is never. Ids and
-- hashes sort by their bytes, as in SQLite, so that a range of them is a prefix.
CREATE TABLE keys (
    id             TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    hash           TEXT COLLATE "C" NOT NULL UNIQUE, -- algorithm:secret:hexadecimal, never the key
    name           TEXT    NOT NULL,
    owner          TEXT    NOT NULL,
    tenant         TEXT    NOT NULL,
    permissions    TEXT    NOT NULL,                 -- a JSON array of strings
    created_at     BIGINT  NOT NULL,
    expires_at     BIGINT,
    revoked_at     BIGINT,
    -- A rotated key goes on under its previous hash until previous_until.
    previous_hash  TEXT COLLATE "C" UNIQUE,
    previous_until BIGINT,
    labels         TEXT    NOT NULL DEFAULT '{}',    -- a JSON object of strings
    -- Made by another program: its text does not hold its id.
    imported       BOOLEAN NOT NULL DEFAULT FALSE
);
CREATE INDEX keys_imported ON keys (id) WHERE imported;

-- The feed that every running gateway follows: for each key the number of its
-- last change. A sequence alone would not do: of two transactions the one with
-- the higher number may commit first, and a reader that remembers that number
-- never sees the other. So writers of keys come one after the other.
CREATE TABLE key_changes (
    seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id  TEXT COLLATE "C" NOT NULL UNIQUE
);

-- Beside keys, not in it: a use is no change, and nobody follows it.
CREATE TABLE key_uses (
    id      TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    used_at BIGINT NOT NULL
);

-- What commands changed: written in the transaction of the change.
CREATE TABLE key_audit (
    seq    BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at     BIGINT NOT NULL,
    actor  TEXT   NOT NULL,
    action TEXT   NOT NULL,
    key_id TEXT   COLLATE "C" NOT NULL,
    detail TEXT   NOT NULL -- a JSON object, never a secret
);
CREATE INDEX key_audit_of_key ON key_audit (key_id, seq);

-- Triggers feed it, so that no way of writing can forget to, not even psql in an
-- operator's hand, whatever its search_path.

-- Before the statement, so before it has locked any row: two writers cannot
-- each hold what the other waits for. It is held until the commit is seen, and
-- keeps no reader waiting.
CREATE FUNCTION keys_one_writer() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    LOCK TABLE key_changes IN SHARE ROW EXCLUSIVE MODE;
    IF TG_OP = 'TRUNCATE' THEN
        DELETE FROM key_changes WHERE id IN (SELECT id FROM keys);
        INSERT INTO key_changes (id) SELECT id FROM keys;
        DELETE FROM key_uses;
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION keys_changed() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        DELETE FROM key_changes WHERE id = OLD.id;
        INSERT INTO key_changes (id) VALUES (OLD.id);
    END IF;
    IF TG_OP = 'INSERT' OR TG_OP = 'UPDATE' AND NEW.id <> OLD.id THEN
        DELETE FROM key_changes WHERE id = NEW.id;
        INSERT INTO key_changes (id) VALUES (NEW.id);
    END IF;
    IF TG_OP = 'DELETE' THEN
        DELETE FROM key_uses WHERE id = OLD.id;
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER keys_one_writer BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON keys
    FOR EACH STATEMENT EXECUTE FUNCTION keys_one_writer();
CREATE TRIGGER keys_changed AFTER INSERT OR UPDATE OR DELETE ON keys
    FOR EACH ROW EXECUTE FUNCTION keys_changed();
