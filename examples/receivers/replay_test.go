package receivers

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/dawnsystem/intellidocs-agent/dispatch/sign"
)

// A request recorded and sent again much later bears a right signature of an old time.
func TestNode_RefusesAnOldTimestamp(t *testing.T) {
	c := exec.Command(need(t, "node"), "node/receiver.js")
	port := freePort(t)
	c.Env = append(os.Environ(), "NODE_PATH="+nodeModules(t), "WEBHOOK_SECRET="+secret, fmt.Sprintf("PORT=%d", port))
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Process.Kill(); _ = c.Wait() })
	address := fmt.Sprintf("127.0.0.1:%d", port)
	until(t, &output{}, "it listens", func() bool {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
	s, err := sign.ParseSecret(secret)
	if err != nil {
		t.Fatal(err)
	}
	signer := sign.Signer{Secrets: []sign.Secret{s}}
	for i, c := range []struct {
		age  time.Duration
		want int
	}{{0, 204}, {time.Hour, 401}, {-time.Hour, 401}, {0, 204}} {
		body, id, at := `{"event_type": "scan_completed"}`, eventID(i), time.Now().Add(-c.age)
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+address+"/hook", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set(sign.HeaderID, id)
		req.Header.Set(sign.HeaderTimestamp, fmt.Sprint(at.Unix()))
		req.Header.Set(sign.HeaderSignature, signer.Standard(id, at, []byte(body)))
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != c.want {
			t.Errorf("signed %s ago: %d, want %d", c.age, resp.StatusCode, c.want)
		}
	}
}
