package main

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"
)

func TestDemo_Once(t *testing.T) {
	out, err := exec.Command("intellidocs-agent", "demo", "--once").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "All 6 deliveries of 3 events arrived, every signature verified.") {
		t.Fatalf("%v\n%s", err, out)
	}
	if n := strings.Count(string(out), "500 on purpose"); n != flakyFails {
		t.Errorf("%d failures on purpose, want %s", n, fmt.Sprint(flakyFails))
	}
}
