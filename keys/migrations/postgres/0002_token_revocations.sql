-- Tokens that were taken back before they expire. Times are milliseconds since
-- 1970 in UTC; NULL is never. Of token_id and subject at most one is not empty.
CREATE TABLE token_revocations (
    id            BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    issuer        TEXT   NOT NULL CHECK (issuer <> ''),
    token_id      TEXT   NOT NULL DEFAULT '',
    subject       TEXT   NOT NULL DEFAULT '',
    issued_before BIGINT,
    until         BIGINT,
    at            BIGINT NOT NULL DEFAULT 0,
    actor         TEXT   NOT NULL DEFAULT '',
    why           TEXT   NOT NULL DEFAULT '',
    CHECK (token_id = '' OR subject = ''),
    CHECK ((token_id = '') = (issued_before IS NOT NULL))
);

-- What gateways follow: the highest id, and this count of rows that were changed
-- or deleted.
CREATE TABLE token_revocations_state (rewritten BIGINT NOT NULL);
INSERT INTO token_revocations_state (rewritten) VALUES (0);

-- Writers come one after the other: otherwise the higher of two ids could be
-- committed first, and a gateway that has seen it would miss the other.
CREATE FUNCTION token_revocations_one_writer() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    LOCK TABLE token_revocations_state IN SHARE ROW EXCLUSIVE MODE;
    RETURN NULL;
END $$;

CREATE FUNCTION token_revocations_rewritten() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    UPDATE token_revocations_state SET rewritten = rewritten + 1;
    RETURN NULL;
END $$;

CREATE TRIGGER token_revocations_one_writer BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON token_revocations
    FOR EACH STATEMENT EXECUTE FUNCTION token_revocations_one_writer();
CREATE TRIGGER token_revocations_updated AFTER UPDATE OR DELETE ON token_revocations
    FOR EACH ROW EXECUTE FUNCTION token_revocations_rewritten();
CREATE TRIGGER token_revocations_truncated AFTER TRUNCATE ON token_revocations
    FOR EACH STATEMENT EXECUTE FUNCTION token_revocations_rewritten();
