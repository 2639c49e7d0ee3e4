package postgres

import (
	"encoding/json"
	"maps"
	"math"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/dawnsystem/intellidocs-agent/queue"
)

// memberStatus is what an agent tells the others: with its status, which webhooks it is configured to serve.
type memberStatus struct {
	queue.AgentStatus
	Configured []string `json:"configured"`
}

// member is an agent that is alive.
type member struct {
	name       string
	configured []string
	serves     int
}

// readMembers reads rows of sqlLive. One that does not say what it is configured to serve counts as having names.
func readMembers(rows pgx.Rows, names []string) (all []member, err error) {
	for rows.Next() {
		var m member
		var status []byte
		if err := rows.Scan(&m.name, &status, &m.serves); err != nil {
			return nil, err
		}
		var said memberStatus
		if json.Unmarshal(status, &said) != nil || said.Configured == nil {
			said.Configured = names
		}
		m.configured = said.Configured
		all = append(all, m)
	}
	return all, rows.Err()
}

// shares are how many webhooks each agent is to serve: each webhook is shared by those that have it.
func shares(members []member) map[string]int {
	having := map[string]int{}
	for _, m := range members {
		for _, webhook := range m.configured {
			having[webhook]++
		}
	}
	out := map[string]int{}
	for _, m := range members {
		sum := 0.0
		for _, webhook := range m.configured {
			sum += 1 / float64(having[webhook])
		}
		out[m.name] = int(math.Ceil(sum - 1e-6)) // thirds do not add up to one
	}
	return out
}

// surplus is what this agent lets go: what it has above its share and another has room for. What nobody else would
// take stays.
func (b *beat) surplus(shares map[string]int) (out []string) {
	me := b.o.q.opts.Agent
	room := map[string]int{}
	for _, m := range b.members {
		room[m.name] = shares[m.name] - m.serves
	}
	for _, name := range slices.Backward(slices.Sorted(maps.Keys(b.held))) {
		if len(b.held)-len(out) <= shares[me] {
			break
		}
		for _, m := range b.members {
			if m.name != me && room[m.name] > 0 && slices.Contains(m.configured, name) {
				room[m.name]--
				out = append(out, name)
				break
			}
		}
	}
	return out
}
