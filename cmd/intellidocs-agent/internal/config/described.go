package config

import (
	"fmt"
	"strings"
)

// described says what each key of agent.toml is for, as editors show it beside the key.
var described = with(map[string]string{
	"enabled": "false: read nothing, send nothing; commands and dashboard stay.",

	"source":                "Where events are read from; there can be several.",
	"source.type":           "A log that grows and is rotated, or a spool directory into which finished files are moved.",
	"source.path":           "The log's file, or the spool's directory.",
	"source.start":          "Where the first run begins in a log: at its beginning, with the rotated files beside it, or at its end.",
	"source.poll":           "true where the file system reports no changes: NFS, SMB, some overlays.",
	"source.max_line_bytes": "A longer line is rejected: kept with its first 64 KiB, and not sent. A number of bytes, or such as \"1MiB\".",
	"source.after":          "What becomes of a spool file once its events are kept: it is deleted, or moved to archive/.",
	"source.shared":         "true: several agents that share the queue see this very file; one of them reads it at a time.",
	"source.key":            "Take only events that carry this key's MAC, where others can write to the log too.",

	"webhook":              "Where events are sent; there can be several, and none waits for another.",
	"webhook.name":         "Its name in lists, metrics and commands: letters, digits, '.', '_' and '-'.",
	"webhook.enabled":      "false: its deliveries wait, and what is read meanwhile is not for it.",
	"webhook.url":          "The address that gets the events.",
	"webhook.events":       "Event types, exact or with *; empty: every type but the agent's own (\"agent.*\").",
	"webhook.filter":       "A condition over the payload, such as document.correspondent == \"Acme Corp\". What it fails on is delivered.",
	"webhook.headers":      "Headers that are sent along; they cannot replace the signatures.",
	"webhook.secret":       "Signs each request. One that begins with whsec_ is base64-decoded first, as Standard Webhooks has it.",
	"webhook.signing_key":  "whsk_…: adds an ed25519 signature (v1a).",
	"webhook.format":       "The body's form: json as IntelliDocs sends it, a service's own message, CloudEvents, or a template.",
	"webhook.template":     "With format = \"template\": Go text/template, inline or \"@file\".",
	"webhook.content_type": "The Content-Type of what the template makes; application/json where it is left out.",
	"webhook.ordered":      "true: strictly one after another, in the order in which events were read; one that fails holds the rest.",
	"webhook.rate_limit":   "Deliveries a second; 0: no limit. Where it is left out slack has 1, discord 2 and telegram 1.",

	"webhook.previous_secrets":         "Secrets that sign too, while receivers change to the new one.",
	"webhook.previous_secrets.secret":  "A secret that is being replaced.",
	"webhook.previous_secrets.expires": "When it stops signing: a date such as 2026-12-31T00:00:00Z.",

	"webhook.tls":             "How the receiver is trusted, and how the agent shows who it is.",
	"webhook.tls.ca_file":     "PEM certificates of the authorities to trust, in place of the system's.",
	"webhook.tls.cert_file":   "The agent's own certificate (PEM); together with key_file.",
	"webhook.tls.key_file":    "The key of cert_file (PEM).",
	"webhook.tls.server_name": "The name that the receiver's certificate must be for, where it is not the URL's.",

	"defaults": "For every webhook that does not say otherwise.",

	"state":              "Where the queue and the history are kept, and for how long.",
	"state.path":         "The state directory.",
	"state.retention":    "Finished deliveries and rejected records are kept this long.",
	"state.dedup_window": "The same event read twice within it is one event. 0: identity is the position, nothing is merged.",
	"state.max_size":     "Past it history is cut short, and then reading stops until there is room. A number of bytes, or such as \"2GiB\".",

	"queue":             "Which engine keeps the queue: a directory of this machine, or a database that several agents share.",
	"queue.engine":      "badger: in the state directory, for one agent. postgres: in a PostgreSQL database, for any number of agents.",
	"queue.url":         "The database: postgres://agent@db-0,db-1/intellidocs_agent?target_session_attrs=read-write.",
	"queue.agent":       "This agent's lasting name, which no other agent on this queue has; the host's where it is left out.",
	"queue.lease":       "An agent that is silent keeps the webhooks it serves this long, and their timeout. From 3s to 5m.",
	"queue.replication": "check: read nothing while the database would acknowledge what only one server has. trust: the provider replicates, or one copy is enough.",

	"intellidocs":     "IntelliDocs itself.",
	"intellidocs.url": "Where people open IntelliDocs: messages then link each document; else PAPERLESS_URL of the environment.",

	"security":                         "Where requests may go.",
	"security.allowed_schemes":         "http, https or both.",
	"security.allowed_ports":           "Ports; empty: all.",
	"security.allow_internal_requests": "false: public addresses only.",
	"security.allowed_cidrs":           "Networks that are allowed all the same, such as 10.1.0.0/16.",
	"security.proxy":                   "environment: HTTPS_PROXY and the like are used. The proxy then resolves names, and must itself refuse what is forbidden here.",

	"admin":            "The dashboard, the metrics and the API.",
	"admin.listen":     "Address and port; \"\" turns it off, the socket in the state directory stays.",
	"admin.auth":       "token: the API and the dashboard ask for the token. none: whoever reaches the listener may read and change everything.",
	"admin.token_file": "The token's file; where it is left out a token is made in the state directory. Needed where others can reach listen.",

	"log":        "The agent's own log, on stderr.",
	"log.level":  "What is logged: all, what is delivered, what will be tried again, what was given up.",
	"log.format": "Lines for people, or JSON.",
}, map[string]string{
	"max_retries":      "Retries after the first attempt.",
	"retry_delay":      "Before the first retry, doubled for each one after it. Seconds, or such as \"90s\".",
	"retry_max_delay":  "No retry waits longer.",
	"retry_jitter":     "Up to this part is added to each wait, so that retries do not come all at once.",
	"timeout":          "For the whole exchange: connecting, headers and body.",
	"concurrency":      "Requests at once to one webhook.",
	"breaker_failures": "So many failures in a row hold a webhook, and one probe at a time is sent. 0: never.",
}, "source.key", "queue.url", "webhook.url", "webhook.secret", "webhook.signing_key", "webhook.previous_secrets.secret")

// with adds what a webhook takes over from [defaults], and the other two forms of what may
// be a secret.
func with(keys, inherited map[string]string, secrets ...string) map[string]string {
	for key, text := range inherited {
		keys["defaults."+key], keys["webhook."+key] = text, text
	}
	for _, key := range secrets {
		what := strings.ReplaceAll(key[strings.LastIndexByte(key, '.')+1:], "_", " ")
		keys[key+"_file"] = fmt.Sprintf("A file with the %s. A name without a slash is looked for in $CREDENTIALS_DIRECTORY, /run/secrets and beside this file.", what)
		keys[key+"_env"] = fmt.Sprintf("The name of the environment variable with the %s.", what)
	}
	return keys
}
