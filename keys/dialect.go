package keys

// dialect is what differs from one kind of database to the other. All else is
// SQL that both understand; both write the parameters $1, $2, ….
type dialect struct {
	// migrations is the folder of its tables' versions.
	migrations string
	// writersLock is what the transaction of a migration does first, so that of
	// several processes one migrates. Empty where a transaction locks by itself.
	writersLock string
	// tables counts all tables, and those named gatewright_migrations.
	tables string
	// ids lists the strings of the JSON array $1.
	ids string
	// uses lists id and used_at of the JSON object $1.
	uses string
	// identity tells the database from all others. Empty where no Redis is used:
	// a file on this machine is nearer than any.
	identity string
	// tenantsLock is what a change of a tenant's record does first, so that of two
	// changes at once none is lost. Empty where a transaction locks by itself.
	tenantsLock string
	// later is the function that returns the greater of its arguments.
	later string
}

var sqliteDialect = dialect{
	migrations: "migrations/sqlite",
	tables:     `SELECT count(*), coalesce(sum(name = 'gatewright_migrations'), 0) FROM sqlite_schema WHERE type = 'table'`,
	ids:        `SELECT value FROM json_each($1)`,
	uses:       `SELECT key AS id, value AS used_at FROM json_each($1)`,
	later:      "max",
}

var postgresDialect = dialect{
	migrations: "migrations/postgres",
	// The number is ours alone: the first bytes of "gatewright".
	writersLock: `SELECT pg_advisory_xact_lock(7449363237792016743)`,
	tables: `SELECT count(*), count(*) FILTER (WHERE tablename = 'gatewright_migrations')
		FROM pg_tables WHERE schemaname = current_schema()`,
	tenantsLock: `LOCK TABLE tenants IN SHARE ROW EXCLUSIVE MODE`,
	ids:         `SELECT json_array_elements_text($1::json)`,
	uses:        `SELECT key AS id, value::bigint AS used_at FROM json_each_text($1::json)`,
	// The cluster, its timeline (which a recovery or the promotion of a replica
	// changes), the database, and the table, which a restored dump makes anew.
	identity: `SELECT concat_ws(':', system_identifier, left(pg_walfile_name(pg_current_wal_lsn()), 8), current_database(), 'keys'::regclass::oid)
		FROM pg_control_system()`,
	later: "greatest",
}
