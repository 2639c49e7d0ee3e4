package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
)

// postAll is the bare client: bodies from memory, nothing signed, kept or tried again.
func postAll(ctx context.Context, url, ca string, n, atOnce int) error {
	t := &http.Transport{MaxIdleConnsPerHost: atOnce, TLSClientConfig: &tls.Config{RootCAs: x509.NewCertPool()}}
	if ca != "" {
		pem, err := os.ReadFile(ca)
		if err != nil {
			return err
		}
		t.TLSClientConfig.RootCAs.AppendCertsFromPEM(pem)
	}
	client := &http.Client{Transport: t}
	body := bytes.TrimSuffix(eventLine(anEvent, 0, 700), []byte("\n"))
	var failed atomic.Pointer[error]
	var left atomic.Int64
	left.Store(int64(n))
	var workers sync.WaitGroup
	for range atOnce {
		workers.Go(func() {
			for left.Add(-1) >= 0 && failed.Load() == nil {
				if err := post(ctx, client, url, body); err != nil {
					failed.Store(&err)
				}
			}
		})
	}
	workers.Wait()
	if err := failed.Load(); err != nil {
		return *err
	}
	return nil
}

func post(ctx context.Context, client *http.Client, url string, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("HTTP %d", resp.StatusCode)
	}
	return nil
}

// figures are what one program took to deliver the events.
type figures struct {
	rate        float64 // requests a second
	cpu         float64 // seconds for 10,000 requests
	rss         float64 // MiB, at its highest
	connections int64
}

func (f figures) String() string {
	return fmt.Sprintf("%.0f/s, %.2f CPU s per 10,000, %.0f MiB, %d connections", f.rate, f.cpu, f.rss, f.connections)
}

// bare measures the bare client as a process of its own.
func (b *bench) bare(secure bool, atOnce int) (figures, error) {
	r := newReceiver(secure, false)
	defer r.Close()
	ca, err := r.caFile(b.dir)
	if err != nil {
		return figures{}, err
	}
	self, err := os.Executable()
	if err != nil {
		return figures{}, err
	}
	c := exec.CommandContext(b.ctx, self, "-post", r.URL, "-ca", ca, "-events", fmt.Sprint(b.events), "-concurrency", fmt.Sprint(atOnce))
	c.Stderr = os.Stderr
	if err := c.Run(); err != nil {
		return figures{}, err
	}
	rate, err := r.wait(b.ctx, int64(b.events))
	return b.figures(&process{Cmd: c}, r, rate, b.events), err
}

func (b *bench) figures(p *process, r *receiver, rate float64, requests int) figures {
	cpu := p.ProcessState.UserTime() + p.ProcessState.SystemTime()
	return figures{rate, cpu.Seconds() * 10_000 / float64(requests), p.peak, r.connections.Load()}
}
