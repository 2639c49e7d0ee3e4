package send

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The same test binary runs again in a network namespace that has no network at all.
func TestSend_AMachineWithoutNetworkIsNotTheEndpointsFault(t *testing.T) {
	if os.Getenv("SEND_TEST_WITHOUT_NETWORK") == "" {
		c := exec.Command(os.Args[0], "-test.run=^TestSend_AMachineWithoutNetwork", "-test.v")
		c.Env = append(os.Environ(), "SEND_TEST_WITHOUT_NETWORK=1")
		c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
		out, err := c.CombinedOutput()
		if errors.Is(err, syscall.EPERM) {
			t.Skipf("needs the right to make a network namespace: %v", err)
		}
		if err != nil || !strings.Contains(string(out), "PASS") {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	for _, url := range []string{"http://192.0.2.1/", "http://[2001:db8::1]/", "http://hooks.example.org/"} {
		r := endpoint(t, Config{URL: url, Timeout: 2 * time.Second}, open()).Send(t.Context(), sample())
		if r.Class != Offline || r.Outage || !strings.HasPrefix(r.Error, "this machine has no network: ") {
			t.Errorf("%s: %+v", url, r)
		}
	}
	r := endpoint(t, Config{URL: "http://127.0.0.1:1/"}, open()).Send(t.Context(), sample())
	if r.Class != Retry {
		t.Errorf("this machine's own address: %+v", r)
	}
}
