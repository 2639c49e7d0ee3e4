package sign

import (
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"
)

const (
	vectorID   = "msg_p5jXN8AQM9LWM0D4loKWxJek"
	vectorBody = `{"test": 2432232314}`
)

var vectorAt = time.Unix(1614265330, 0)

func TestStandard_PublishedVectors(t *testing.T) {
	secret, err := ParseSecret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	if err != nil {
		t.Fatal(err)
	}
	key, err := ParseSigningKey("whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg==")
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		signer Signer
		want   string
	}{
		"v1":  {Signer{Secrets: []HMACKey{secret}}, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="},
		"v1a": {Signer{Key: key}, "v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg=="},
	} {
		if got := c.signer.Standard(vectorID, vectorAt, []byte(vectorBody)); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

func request(s Signer, body string) http.Header {
	h := http.Header{}
	h.Set(HeaderID, vectorID)
	h.Set(HeaderTimestamp, fmt.Sprint(vectorAt.Unix()))
	h.Set(HeaderSignature, s.Standard(vectorID, vectorAt, []byte(body)))
	h.Set(HeaderIntelliDocs, s.Body([]byte(body)))
	return h
}

func TestVerify_AcceptsWhatIsSignedAndRefusesAChangedByte(t *testing.T) {
	old, _ := ParseSecret("the old one")
	current, _ := ParseSecret("the new one")
	key, _ := ParseSigningKey("whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg==")
	public, err := ParsePublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	signer := Signer{Secrets: []HMACKey{current, old.Until(vectorAt.Add(time.Hour))}, Key: key}
	h := request(signer, vectorBody)
	for name, c := range map[string]Check{
		"current secret":  {Secrets: []HMACKey{current}},
		"previous secret": {Secrets: []HMACKey{old}},
		"public key":      {PublicKey: public},
	} {
		c.Header, c.Body, c.Now = h, []byte(vectorBody), vectorAt
		if err := Verify(c); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for i := range c.Body {
			c.Body = []byte(vectorBody)
			c.Body[i] ^= 1
			if Verify(c) == nil {
				t.Errorf("%s: byte %d changed and accepted", name, i)
			}
		}
	}
	if err := VerifyBody([]HMACKey{current}, []byte(vectorBody), h.Get(HeaderIntelliDocs)); err != nil {
		t.Error(err)
	}
	if VerifyBody([]HMACKey{old}, []byte(vectorBody), h.Get(HeaderIntelliDocs)) == nil {
		t.Error("the body signature must be by the current secret")
	}
}

func TestStandard_AnExpiredSecretSignsNoMore(t *testing.T) {
	a, _ := ParseSecret("a")
	b, _ := ParseSecret("b")
	s := Signer{Secrets: []HMACKey{a, b.Until(vectorAt)}}
	if n := len(strings.Fields(s.Standard("x", vectorAt, nil))); n != 1 {
		t.Errorf("%d entries, want the current secret's only", n)
	}
}

func TestVerify_SaysWhatIsWrong(t *testing.T) {
	s, _ := ParseSecret("a")
	signer := Signer{Secrets: []HMACKey{s}}
	for _, c := range []struct {
		change func(http.Header)
		want   string
	}{
		{func(h http.Header) { h.Del(HeaderID) }, "no webhook-id"},
		{func(h http.Header) { h.Set(HeaderTimestamp, "soon") }, "not a number"},
		{func(h http.Header) { h.Set(HeaderTimestamp, fmt.Sprint(vectorAt.Add(-time.Hour).Unix())) }, "off"},
		{func(h http.Header) { h.Set(HeaderSignature, "v1,!!! v2,AAAA") }, "no entry"},
	} {
		h := request(signer, "x")
		c.change(h)
		err := Verify(Check{Header: h, Body: []byte("x"), Secrets: []HMACKey{s}, Now: vectorAt, Tolerance: 5 * time.Minute})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, want %q", err, c.want)
		}
	}
}

func TestKeys_NeverPrintThemselves(t *testing.T) {
	s, _ := ParseSecret("hunter2hunter2")
	k, _ := ParseSigningKey("whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg==")
	var b strings.Builder
	slog.New(slog.NewJSONHandler(&b, nil)).Info("x", "s", s, "k", k)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x", "%X"} {
		fmt.Fprintf(&b, verb, s)
		fmt.Fprintf(&b, verb, k)
		fmt.Fprintf(&b, verb, struct{ S HMACKey }{s})
		fmt.Fprintf(&b, verb, struct {
			s HMACKey
			k SigningKey
		}{s, k}) // fmt does not ask what is unexported
	}
	for _, leak := range []string{"hunter2", "6Xb/", "104 117 110", "68756e", "68756E", "233 117 255", "e975ff", "E975FF"} {
		if strings.Contains(b.String(), leak) {
			t.Errorf("%q leaks: %s", leak, b.String())
		}
	}
}

func TestParse_RefusesWhatIsNoKey(t *testing.T) {
	for _, text := range []string{"", "whsec_", "whsec_***"} {
		if _, err := ParseSecret(text); err == nil {
			t.Errorf("secret %q was taken", text)
		}
	}
	for _, text := range []string{"", "whsec_AAAA", "whsk_AAAA", "whsk_" + strings.Repeat("A", 86) + "=="} {
		if _, err := ParseSigningKey(text); err == nil {
			t.Errorf("signing key %q was taken", text)
		}
	}
	if _, err := ParsePublicKey("whpk_AAAA"); err == nil {
		t.Error("a short public key was taken")
	}
}
