-- A plan of the key's own, which goes before its tenant's. Empty is none.
ALTER TABLE keys ADD COLUMN plan TEXT NOT NULL DEFAULT '';

-- Customers: what is agreed on with each, for all callers of that tenant. A tenant
-- of keys and tokens needs no record.
CREATE TABLE tenants (
    name       TEXT    NOT NULL PRIMARY KEY CHECK (name <> ''),
    plan       TEXT    NOT NULL DEFAULT '',   -- empty is none
    limits     TEXT    NOT NULL DEFAULT '{}', -- a JSON object: name of a limit to the tenant's own numbers, as 500,100/s
    note       TEXT    NOT NULL DEFAULT '',
    changed_at INTEGER NOT NULL DEFAULT 0     -- milliseconds since 1970 in UTC
) STRICT;

-- Its feed: see key_changes.
CREATE TABLE tenant_changes (
    seq  INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    name TEXT    NOT NULL UNIQUE
) STRICT;
CREATE TRIGGER tenants_inserted AFTER INSERT ON tenants BEGIN
    DELETE FROM tenant_changes WHERE name = NEW.name;
    INSERT INTO tenant_changes (name) VALUES (NEW.name);
END;
CREATE TRIGGER tenants_updated AFTER UPDATE ON tenants BEGIN
    DELETE FROM tenant_changes WHERE name IN (OLD.name, NEW.name);
    INSERT INTO tenant_changes (name) VALUES (OLD.name) ON CONFLICT DO NOTHING;
    INSERT INTO tenant_changes (name) VALUES (NEW.name) ON CONFLICT DO NOTHING;
END;
CREATE TRIGGER tenants_deleted AFTER DELETE ON tenants BEGIN
    DELETE FROM tenant_changes WHERE name = OLD.name;
    INSERT INTO tenant_changes (name) VALUES (OLD.name);
END;

-- Whose record was changed; empty where it was a key.
ALTER TABLE key_audit ADD COLUMN tenant TEXT NOT NULL DEFAULT '';
