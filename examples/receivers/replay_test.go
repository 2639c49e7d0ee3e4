package receivers

import (
	"cmp"
	"fmt"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/dawnsystem/intellidocs-agent/dispatch/sign"
)

// A request recorded and sent again much later carries a valid signature with an old time, and
// one sent again under another id or time a signature that is not its own.
func TestStandard_RefusesWhatWasRecorded(t *testing.T) {
	const secret, other = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD", "another"
	for name, command := range standard {
		t.Run(name, func(t *testing.T) {
			address, out := start(t, secret, func(int) *exec.Cmd { return command(t) })
			for i, c := range []struct {
				what    string
				age     time.Duration
				id, at  string // as sent, where not as signed
				secrets []string
				want    int
			}{
				{what: "now", want: 204},
				{what: "an hour old", age: time.Hour, want: 401},
				{what: "an hour early", age: -time.Hour, want: 401},
				{what: "under another id", id: eventID(100), want: 401},
				{what: "at another time", at: fmt.Sprint(time.Now().Unix() + 1), age: time.Minute, want: 401},
				{what: "without a time", at: " ", want: 401},
				{what: "by somebody else", secrets: []string{other}, want: 401},
				{what: "while the secret is changed", secrets: []string{other, secret}, want: 204},
			} {
				if c.secrets == nil {
					c.secrets = []string{secret}
				}
				if got := post(t, address, eventID(i), time.Now().Add(-c.age), c.secrets, c.id, c.at); got != c.want {
					t.Errorf("%s: %d, want %d\n%s", c.what, got, c.want, out)
				}
			}
		})
	}
}

// post signs for one id and time and sends the request under another, where one is given.
func post(t *testing.T, address, id string, at time.Time, secrets []string, sentID, sentAt string) int {
	t.Helper()
	var signer sign.Signer
	for _, text := range secrets {
		s, err := sign.ParseSecret(text)
		if err != nil {
			t.Fatal(err)
		}
		signer.Secrets = append(signer.Secrets, s)
	}
	body := `{"event_type": "scan_completed"}`
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+address+"/hook", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set(sign.HeaderID, cmp.Or(sentID, id))
	req.Header.Set(sign.HeaderTimestamp, cmp.Or(sentAt, fmt.Sprint(at.Unix())))
	req.Header.Set(sign.HeaderSignature, signer.Standard(id, at, []byte(body)))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode
}
