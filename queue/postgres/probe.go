package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// Probe connects to the database at a URL, says what it is, and changes nothing. The second result
// is why it would not be read for, with Replication "check"; nil where it would.
func Probe(ctx context.Context, url string) (engine string, unreplicated, err error) {
	cfg, err := pgx.ParseConfig(url)
	if err != nil {
		return "", nil, urlError(err)
	}
	q := &Queue{secrets: []string{url, cfg.Password}}
	configure(cfg, "check", connectTimeout)
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return "", nil, q.clean("connect", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	var version, names, level string
	const settings = `SELECT current_setting('server_version'), current_setting('synchronous_standby_names'), current_setting('synchronous_commit')`
	if err := conn.QueryRow(ctx, settings, pgx.QueryExecModeExec).Scan(&version, &names, &level); err != nil {
		return "", nil, q.clean("read its settings", err)
	}
	return describe(conn.Config().Host, version, names), q.replicated(names, level), nil
}

var errURL = errors.New("the URL of the queue's database cannot be read; it should look like postgres://USER:PASSWORD@HOST/DATABASE")

// urlError is what may be shown of why a URL cannot be used: its text has parts of it, unless the certificates and keys
// that it names are what is wrong.
func urlError(err error) error {
	if cause := errors.Unwrap(err); cause != nil && strings.Contains(err.Error(), "failed to configure TLS") {
		return fmt.Errorf("the queue's database: its URL asks for TLS: %w", cause)
	}
	return errURL
}
