-- A plan of the key's own, which goes before its tenant's. Empty is none.
ALTER TABLE keys ADD COLUMN plan TEXT NOT NULL DEFAULT '';

-- Customers: what is agreed on with each, for all callers of that tenant. A tenant
-- of keys and tokens needs no record.
CREATE TABLE tenants (
    name       TEXT   COLLATE "C" NOT NULL PRIMARY KEY CHECK (name <> ''),
    plan       TEXT   NOT NULL DEFAULT '',   -- empty is none
    limits     TEXT   NOT NULL DEFAULT '{}', -- a JSON object: name of a limit to the tenant's own numbers, as 500,100/s
    note       TEXT   NOT NULL DEFAULT '',
    changed_at BIGINT NOT NULL DEFAULT 0     -- milliseconds since 1970 in UTC
);

-- Its feed, and its one writer at a time: see key_changes.
CREATE TABLE tenant_changes (
    seq  BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name TEXT   COLLATE "C" NOT NULL UNIQUE
);

CREATE FUNCTION tenants_one_writer() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    LOCK TABLE tenant_changes IN SHARE ROW EXCLUSIVE MODE;
    IF TG_OP = 'TRUNCATE' THEN
        DELETE FROM tenant_changes WHERE name IN (SELECT name FROM tenants);
        INSERT INTO tenant_changes (name) SELECT name FROM tenants;
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION tenants_changed() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        DELETE FROM tenant_changes WHERE name = OLD.name;
        INSERT INTO tenant_changes (name) VALUES (OLD.name);
    END IF;
    IF TG_OP = 'INSERT' OR TG_OP = 'UPDATE' AND NEW.name <> OLD.name THEN
        DELETE FROM tenant_changes WHERE name = NEW.name;
        INSERT INTO tenant_changes (name) VALUES (NEW.name);
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER tenants_one_writer BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON tenants
    FOR EACH STATEMENT EXECUTE FUNCTION tenants_one_writer();
CREATE TRIGGER tenants_changed AFTER INSERT OR UPDATE OR DELETE ON tenants
    FOR EACH ROW EXECUTE FUNCTION tenants_changed();

-- Whose record was changed; empty where it was a key.
ALTER TABLE key_audit ADD COLUMN tenant TEXT NOT NULL DEFAULT '';
