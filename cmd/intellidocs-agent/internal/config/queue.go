package config

import (
	"net/url"
	"os"
	"regexp"
	"strings"
	"time"
)

// The engines that keep the queue.
const (
	Badger   = "badger"   // a directory of this machine, for one agent
	Postgres = "postgres" // a database, shared by several agents
)

// Queue is [queue].
type Queue struct {
	Engine string
	// What follows is for Postgres only.
	URL         Secret        // of the database
	Agent       string        // this agent's name among those that share the queue
	Lease       time.Duration // how long a silent agent keeps what it serves
	Replication string        // check or trust
}

// Shared reports whether several agents can share the queue.
func (q *Queue) Shared() bool { return q.Engine == Postgres }

// KeepQueue has the configuration be one for a queue that is open already: another one, and other
// names of sources in it, are for the next start.
func (c *Config) KeepQueue(open *Queue) {
	c.Queue = *open
	c.nameSources()
}

// AgentName is this agent's among those that share the queue, "" where it has one alone.
func (c *Config) AgentName() string {
	if !c.Queue.Shared() {
		return ""
	}
	return c.Queue.Agent
}

// Same reports whether two are configured alike.
func (q *Queue) Same(o *Queue) bool {
	return q.URL.Reveal() == o.URL.Reveal() && q.Engine == o.Engine && q.Agent == o.Agent && q.Lease == o.Lease && q.Replication == o.Replication
}

const (
	defaultLease         = 10 * time.Second
	minLease, maxLease   = 3 * time.Second, 5 * time.Minute
	sharedPrefix         = "shared"
	queueURLExample      = "postgres://agent@db-0,db-1/intellidocs_agent?target_session_attrs=read-write"
	maxAgentName         = 64
	needsPostgresMessage = "it is only for engine = \"postgres\""
)

var agentRE = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

func (b *binder) queue(t *table, q *Queue) {
	_, leased := t.m["lease"]
	_, replicated := t.m["replication"]
	q.Engine = t.oneOf("engine", Badger, Badger, Postgres)
	u, given := t.secret("url", cleanURL)
	q.URL = u
	q.Agent = t.text("agent", "")
	q.Lease = t.duration("lease", defaultLease, minLease)
	if q.Lease > maxLease {
		t.errorf("lease", "it must be from %s to %s", minLease, maxLease)
	}
	q.Replication = t.oneOf("replication", "check", "check", "trust")
	if q.Engine == Badger {
		for key, there := range map[string]bool{"url": given, "agent": q.Agent != "", "lease": leased, "replication": replicated} {
			if there {
				t.warnf(t.written(key), needsPostgresMessage)
			}
		}
		t.rejectUnknown()
		return
	}
	b.agentName(t, q)
	switch {
	case !given:
		t.errorf("url", "the database that the agents share must be named: url_file, url_env, or url = %q", queueURLExample)
	case q.URL.Set():
		databaseURL(t, q.URL.Reveal())
	}
	t.rejectUnknown()
}

// agentName is the host's where none is configured.
func (b *binder) agentName(t *table, q *Queue) {
	if q.Agent == "" {
		host, err := os.Hostname()
		if err != nil || host == "" {
			t.errorf("agent", "this machine has no name: give the agent one that no other agent on this queue has")
			return
		}
		q.Agent = host
	}
	if !agentRE.MatchString(q.Agent) || q.Agent == sharedPrefix {
		t.errorf("agent", "%q cannot be an agent's name: use up to %d letters, digits, '.', '_' and '-', beginning with a letter or digit, and not %q", q.Agent, maxAgentName, sharedPrefix)
	}
}

// databaseURL judges the URL of a database without repeating anything of it.
func databaseURL(t *table, text string) {
	const like = "; it should look like " + queueURLExample
	u, rest, err := splitDatabaseURL(text)
	switch {
	case err != nil:
		t.errorf(t.written("url"), "it cannot be read"+like)
		return
	case u.Scheme != "postgres" && u.Scheme != "postgresql":
		t.errorf(t.written("url"), "it is not the URL of a PostgreSQL database"+like)
		return
	case strings.Trim(u.Path, "/") == "":
		t.errorf(t.written("url"), "it names no database"+like)
		return
	}
	mode := u.Query().Get("sslmode")
	for _, host := range rest {
		if publicHost(host) && mode != "require" && mode != "verify-ca" && mode != "verify-full" {
			t.warnf(t.written("url"), "events and the database's password may go unencrypted to a public host, where anybody on the way can read them: add sslmode=verify-full")
			return
		}
	}
}

// splitDatabaseURL parses a URL that may name several hosts, which it returns without ports.
func splitDatabaseURL(text string) (*url.URL, []string, error) {
	scheme, after, ok := strings.Cut(text, "://")
	if !ok {
		return &url.URL{}, nil, nil
	}
	end := strings.IndexAny(after, "/?")
	if end < 0 {
		end = len(after)
	}
	authority, tail := after[:end], after[end:]
	user, hosts := "", authority
	if i := strings.LastIndexByte(authority, '@'); i >= 0 {
		user, hosts = authority[:i+1], authority[i+1:]
	}
	u, err := url.Parse(scheme + "://" + user + "host" + tail)
	if err != nil {
		return nil, nil, err
	}
	var names []string
	for _, host := range strings.Split(hosts, ",") {
		one, err := url.Parse("x://" + host)
		if err != nil {
			return nil, nil, err
		}
		names = append(names, one.Hostname())
	}
	return u, append(names, u.Query()["host"]...), nil
}

// databasePassword reports whether a database's URL has a password in it, or cannot be read.
func databasePassword(text string) bool {
	if !strings.HasPrefix(text, "postgres") {
		return false
	}
	u, _, err := splitDatabaseURL(text)
	if err != nil {
		return true
	}
	_, set := u.User.Password()
	return set || u.Query().Has("password")
}

// nameSources gives each source the name that the queue knows it by: several agents may have a path alike.
func (c *Config) nameSources() {
	for i := range c.Sources {
		s := &c.Sources[i]
		switch {
		case !c.Queue.Shared():
			s.Name = s.Path
		case s.Shared:
			s.Name = sharedPrefix + ":" + s.Path
		default:
			s.Name = c.Queue.Agent + ":" + s.Path
		}
	}
}

// pathOf is the path in a source's name, whichever agent's it is.
func pathOf(name string) string {
	if agent, path, ok := strings.Cut(name, ":"); ok && agentRE.MatchString(agent) && strings.HasPrefix(path, "/") {
		return path
	}
	return name
}
