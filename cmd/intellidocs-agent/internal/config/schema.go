package config

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"time"
)

// SchemaURL is where editors find the schema of agent.toml: an agent.toml that begins with
// "#:schema" and this address is checked and completed while it is written.
const SchemaURL = "https://raw.githubusercontent.com/dawnsystem/intellidocs-agent/main/examples/agent.schema.json"

// node is a part of a JSON Schema, draft 7, as far as agent.toml needs one.
type node struct {
	Schema      string           `json:"$schema,omitempty"`
	ID          string           `json:"$id,omitempty"`
	Title       string           `json:"title,omitempty"`
	Description string           `json:"description,omitempty"`
	Type        any              `json:"type,omitempty"`
	Enum        []string         `json:"enum,omitempty"`
	Pattern     string           `json:"pattern,omitempty"`
	Minimum     any              `json:"minimum,omitempty"`
	Maximum     any              `json:"maximum,omitempty"`
	Default     any              `json:"default,omitempty"`
	Items       *node            `json:"items,omitempty"`
	Required    []string         `json:"required,omitempty"`
	AnyOf       []*node          `json:"anyOf,omitempty"`
	Properties  map[string]*node `json:"properties,omitempty"`
	Others      any              `json:"additionalProperties,omitempty"` // false, or what they are
}

const (
	durationRE = `^\s*[0-9.]+(\s*|d.*|(ns|us|µs|ms|s|m|h).*)$`
	sizeRE     = `^\s*[0-9.]+\s*([kKmMgGtT]([iI]?[bB])?|[bB])?\s*$`
)

// tableSchema is a table's part of the schema while that is made; nil: none is made. What a
// reader of the table takes is what the schema allows.
type tableSchema struct {
	*node
	path string // webhook.headers
}

// declare adds a key, and returns the part that it is.
func (s *tableSchema) declare(key string, n node) *tableSchema {
	if s == nil {
		return nil
	}
	switch v := reflect.ValueOf(n.Default); v.Kind() {
	case reflect.String, reflect.Slice:
		if v.Len() == 0 {
			n.Default = nil // says nothing
		}
	}
	path := strings.TrimPrefix(s.path+"."+key, ".")
	n.Description = described[path]
	if s.Properties == nil {
		s.Properties = map[string]*node{}
	}
	s.Properties[key] = &n
	return &tableSchema{&n, path}
}

// declareList adds an array of tables, and returns the part that one of them is.
func (s *tableSchema) declareList(key string) *tableSchema {
	list := s.declare(key, node{Type: "array", Items: &node{Type: "object", Others: false}})
	if list == nil {
		return nil
	}
	return &tableSchema{list.Items, list.path}
}

// declareOthers adds keys of any name.
func (s *tableSchema) declareOthers(n node) {
	if s != nil {
		s.Others = n
	}
}

// require says that the table cannot be without a key, in any of its forms.
func (s *tableSchema) require(key string) {
	switch {
	case s == nil:
	case s.Properties[key+"_file"] == nil:
		s.Required = append(s.Required, key)
	default:
		s.AnyOf = []*node{{Required: []string{key}}, {Required: []string{key + "_file"}}, {Required: []string{key + "_env"}}}
	}
}

// spanOf writes a duration as people write it in agent.toml.
func spanOf(d time.Duration) any {
	const day = 24 * time.Hour
	switch {
	case d > day && d%day == 0:
		return fmt.Sprintf("%dd", d/day)
	case d%time.Second != 0:
		return d.String()
	case d < time.Hour:
		return int(d / time.Second)
	}
	return strings.TrimSuffix(strings.TrimSuffix(d.String(), "0s"), "0m")
}

// Schema is the JSON Schema of agent.toml. It is made by reading an empty file: each reader
// says what it takes, and what it misses is required (missing).
func Schema() []byte {
	root := &node{
		Schema: "http://json-schema.org/draft-07/schema#", ID: SchemaURL, Title: "intellidocs-agent's agent.toml",
		Type: "object", Others: false,
	}
	b := newBinder("agent.toml", "", func(string) (string, bool) { return "", false })
	b.config(&table{b: b, m: map[string]any{}, schema: &tableSchema{node: root}})
	out, err := json.MarshalIndent(root, "", "  ")
	if err != nil {
		panic(err) // only what cannot be JSON by its type
	}
	return append(out, '\n')
}

// missing reports a key that its table cannot be without.
func (t *table) missing(key, format string, args ...any) {
	t.errorf(key, format, args...)
	t.schema.require(key)
}
