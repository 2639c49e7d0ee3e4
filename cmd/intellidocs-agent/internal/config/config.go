// Package config reads agent.toml: strictly, with every mistake told at once, where it
// stands and what would be right.
package config

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"time"

	"github.com/dawnsystem/intellidocs-agent/dispatch/secret"
)

// DefaultPath is where agent.toml is looked for last.
const DefaultPath = "/etc/intellidocs-agent/agent.toml"

// Config is a whole, valid configuration with defaults, environment and secrets filled in.
type Config struct {
	Path    string // absolute
	Enabled bool
	State   State
	Queue   Queue
	// IntelliDocs is where people open IntelliDocs, "" where that is not known.
	IntelliDocs string
	Sources     []Source
	Security    Security
	Admin       Admin
	Log         Log
	Webhooks    []Webhook
	Warnings    []Problem
	// Files are those the configuration was made from: itself, secrets, templates, tokens.
	Files Files

	where *positions
}

// Idle reports whether it names nothing to read from and nothing to send to.
func (c *Config) Idle() bool { return len(c.Sources) == 0 && len(c.Webhooks) == 0 }

// State is [state].
type State struct {
	Path                   string
	Retention, DedupWindow time.Duration
	MaxSize                int64
}

// Security is [security].
type Security struct {
	AllowedSchemes        []string
	AllowedPorts          []int
	AllowInternalRequests bool
	AllowedCIDRs          []netip.Prefix
	Proxy                 string // none or environment
}

// Admin is [admin].
type Admin struct {
	Listen string
	// Open: auth is "none", and whoever reaches the listener may read and change everything.
	Open      bool
	TokenFile string // as it is written; empty: the agent makes a token in its state directory
	Token     Secret // what is in TokenFile
}

// Log is [log].
type Log struct {
	Level, Format string
}

// Webhook is a [[webhook]] with everything it inherits.
type Webhook struct {
	Name            string
	Enabled         bool
	URL             Secret
	Events          []string
	Filter          string
	Headers         map[string]Secret
	Secret          Secret
	PreviousSecrets []PreviousSecret
	SigningKey      Secret
	Format          string
	Template        string
	ContentType     string
	Ordered         bool
	RateLimit       float64
	MaxRetries      int
	RetryDelay      time.Duration
	RetryMaxDelay   time.Duration
	RetryJitter     float64
	Timeout         time.Duration
	Concurrency     int
	BreakerFailures int
	TLS             TLS
}

// PreviousSecret is a secret that is going out of use.
type PreviousSecret struct {
	Secret  Secret
	Expires time.Time // zero: never
}

// TLS is a webhook's tls table; paths are absolute or empty.
type TLS struct {
	CAFile, CertFile, KeyFile, ServerName string
}

// Secret is text that never prints itself; Reveal returns it.
type Secret = secret.Value[string]

// Digest identifies a webhook's whole configuration, secrets included, without telling them.
func (w *Webhook) Digest() string {
	h := sha256.New()
	fmt.Fprintf(h, "%q %q %q\n", w.URL.Reveal(), w.Secret.Reveal(), w.SigningKey.Reveal())
	for _, p := range w.PreviousSecrets {
		fmt.Fprintf(h, "%q %s\n", p.Secret.Reveal(), p.Expires)
	}
	headers := map[string]string{}
	for k, v := range w.Headers {
		headers[k] = v.Reveal()
	}
	// Maps are written in the order of their keys; what is a Secret prints nothing here.
	if err := json.NewEncoder(h).Encode([]any{w, headers}); err != nil {
		panic(err) // plain data
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// Environment looks up the process's own environment.
func Environment() func(string) (string, bool) { return os.LookupEnv }

// Path says which file to read: the flag, else $INTELLIDOCS_AGENT_CONFIG, else DefaultPath.
func Path(flag string, env func(string) (string, bool)) string {
	if flag != "" {
		return flag
	}
	if v, ok := env("INTELLIDOCS_AGENT_CONFIG"); ok && v != "" {
		return v
	}
	return DefaultPath
}
