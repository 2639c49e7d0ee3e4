package send

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
)

func TestExchange_WhatAReceiverEchoesHoldsNoSecret(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", "https://other.example.org"+r.URL.String())
		w.Header().Set("Set-Cookie", "session=planted-cookie")
		w.Header().Set("X-Seen", r.Header.Get("X-Api-Key"))
		status, _ := strconv.Atoi(r.Header.Get("X-Want"))
		w.WriteHeader(status)
		user, password, _ := r.BasicAuth()
		fmt.Fprintf(w, "Cannot POST %s by %s %s %s %s %s", r.URL, user, password, r.Header.Get("X-Bearer"), r.Header.Get("X-Api-Key"), r.Header.Get("Authorization"))
		fmt.Fprint(w, strings.Repeat("x", 700), r.URL)
	})
	for _, status := range []string{"200", "307", "404", "503"} {
		url := strings.Replace(s.URL, "http://", "http://someone:planted-password@", 1) + "/services/T0AB1/B0planted5/aPlantedplanted7Path24?token=planted-query"
		e := endpoint(t, Config{URL: url, Headers: map[string]string{"X-Bearer": "Bearer planted-token", "X-Api-Key": "planted-key", "X-Want": status}}, open())
		r, tr := e.Exchange(t.Context(), sample())
		if fmt.Sprint(r.Status) != status || !strings.Contains(r.Response, "Cannot POST /services/") {
			t.Errorf("%+v", r)
		}
		if all := fmt.Sprintf("%+v %+v", r, tr); strings.Contains(all, "planted7Path") || strings.Contains(all, "planted-") || strings.Contains(all, "c29tZW9uZT") {
			t.Errorf("HTTP %s: a secret shows: %s", status, all)
		}
	}
}
