package target

import (
	"net/netip"
	"net/url"
	"testing"
)

// What the tests of others who guard against such requests ask of an address or a host, with
// the answer that is right here.

// The addresses are those of stripe/smokescreen (TestClassifyAddr) and of svix-server
// (is_allowed_test), whose 0:0:0:ffff::1 nobody has been given and is refused here.
func TestCheckAddr_AsSmokescreenAndSvixAskIt(t *testing.T) {
	none := Policy{}
	some := Policy{AllowedCIDRs: prefixes("8.8.9.0/24", "10.0.1.0/24", "172.16.1.0/24", "192.168.1.0/24", "127.0.1.0/24")}
	for _, c := range []struct {
		policy  Policy
		address string
		allowed bool
	}{
		{some, "10.0.0.1", false},
		{some, "10.0.1.1", true},
		{some, "172.16.0.1", false},
		{some, "172.16.1.1", true},
		{some, "192.168.0.1", false},
		{some, "192.168.1.1", true},
		{some, "8.8.9.8", true},
		{some, "127.0.1.1", true},
		{some, "127.0.0.1", false},
		{some, "127.255.255.255", false},
		{some, "::1", false},
		{some, "169.254.169.254", false},
		{some, "255.255.255.255", false},
		{some, "ff02:0:0:0:0:0:0:2", false},
		{none, "8.8.8.8", true},
		{none, "127.0.1.1", false},
		{none, "10.254.0.0", false},
		{none, "192.168.10.65", false},
		{none, "172.16.10.65", false},
		{none, "0.1.2.3", false},
		{none, "0.0.0.0", false},
		{none, "127.0.0.1", false},
		{none, "169.254.45.1", false},
		{none, "255.255.255.255", false},
		{none, "192.0.2.255", false},
		{none, "198.51.100.65", false},
		{none, "203.0.113.6", false},
		{none, "100.100.0.0", false},
		{none, "192.0.0.0", false},
		{none, "192.0.0.255", false},
		{none, "250.10.20.30", false},
		{none, "198.18.0.0", false},
		{none, "1.1.1.1", true},
		{none, "::1", false},
		{none, "0:0:0:ffff::1", false},
		{none, "2001:4860:4860::8888", true},
		{none, "::ffff:8.8.8.8", true},
		{none, "::ffff:127.0.0.1", false},
		{none, "::ffff:0.0.0.1", false},
	} {
		if err := c.policy.CheckAddr(netip.MustParseAddr(c.address)); (err == nil) != c.allowed {
			t.Errorf("%s with %v allowed: %v", c.address, c.policy.AllowedCIDRs, err)
		}
	}
}

// The hosts are those of doyensec/safeurl (TestBlockedIP, TestBlockCIDRRange and others).
func TestCheckURL_AsSafeurlAsksIt(t *testing.T) {
	p := Policy{Schemes: []string{"http"}}
	for host, allowed := range map[string]bool{
		"127.0.0.1": false, "[::1]": false, "2130706433": false, "3232235777": false, "017700000001:80/": false, "0x7f000001": false, "0xc0a80014": false,
		"0x0000007f.0x00000000.0x00000000.0x00000001": false, "0x7f.0x0.0x00000000.0x01": false, "[::]:80": false, "0/": false, "127.1": false,
		"0177.0x0.0x0.0x1": false, "0.0.0.0": false, "127.127.127.127": false, "[::ffff:192.0.2.1]": false, "[0000::1]:80": false, "[::1]/server-status": false,
		"192.168.0.0": false, "192.168.0.7": false, "192.168.0.15": false, "127.0.0.1:8080": false,
		"34.210.62.107": true, "216.239.34.21": true, "172.217.14.195": true,
	} {
		u, err := url.Parse("http://" + host)
		if err != nil {
			t.Fatal(err)
		}
		if err := p.CheckURL(u); (err == nil) != allowed {
			t.Errorf("%s: %v", host, err)
		}
	}
}
