package target

import (
	"fmt"
	"net/netip"
	"testing"
)

// registry4 and registry6 are the blocks of IANA's special-purpose registries, with
// multicast and what was set aside and given back.
var (
	registry4 = []string{
		"0.0.0.0/8", "0.0.0.0/32", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24", "192.0.0.0/29", "192.0.0.8/32",
		"192.0.0.9/32", "192.0.0.10/32", "192.0.0.170/32", "192.0.0.171/32", "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.88.99.2/32",
		"192.168.0.0/16", "192.175.48.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4", "255.255.255.255/32",
	}
	registry6 = []string{
		"::1/128", "::/128", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "100:0:0:1::/64", "2001::/23", "2001::/32", "2001:1::1/128", "2001:1::2/128", "2001:1::3/128",
		"2001:2::/48", "2001:3::/32", "2001:4:112::/48", "2001:10::/28", "2001:20::/28", "2001:30::/28", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20",
		"5f00::/16", "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8",
	}
)

// embeddings write an IPv4 address into an IPv6 one. The last are those into which it may
// go without making an internal address public.
func embeddings(a netip.Addr) []string {
	b := a.As4()
	hex := fmt.Sprintf("%02x%02x:%02x%02x", b[0], b[1], b[2], b[3])
	inverse := fmt.Sprintf("%02x%02x:%02x%02x", ^b[0], ^b[1], ^b[2], ^b[3])
	return []string{
		"::ffff:" + hex, "::" + hex, "::ffff:0:" + hex, "64:ff9b::" + hex,
		"64:ff9b:1::" + hex, fmt.Sprintf("64:ff9b:1:%02x%02x:%02x:%02x00::", b[0], b[1], b[2], b[3]),
		fmt.Sprintf("64:ff9b:1:00%02x:00%02x:%02x%02x::", b[0], b[1], b[2], b[3]), fmt.Sprintf("64:ff9b:1:0:00%02x:%02x%02x:%02x00::", b[0], b[1], b[2], b[3]),
		"2002:" + hex + "::", "2001:0:808:808:0:0:" + inverse, "2001:0:" + hex + ":0:0:f7f7:f7f7",
		"2a00:1450::5efe:" + hex, "2a00:1450::200:5efe:" + hex,
	}
}

func firstAndLast(p netip.Prefix) []netip.Addr {
	last := p.Addr().AsSlice()
	for bit := p.Bits(); bit < len(last)*8; bit++ {
		last[bit/8] |= 0x80 >> (bit % 8)
	}
	end, _ := netip.AddrFromSlice(last)
	return []netip.Addr{p.Addr(), end}
}

func TestCheckAddr_EveryRangeOfTheRegistriesInEveryEmbedding(t *testing.T) {
	p := Policy{}
	n := 0
	refused := func(text string) {
		n++
		addr, err := netip.ParseAddr(text)
		if err != nil {
			t.Fatal(err)
		}
		if p.CheckAddr(addr) == nil {
			t.Errorf("%s is allowed", text)
		}
	}
	for _, block := range prefixes(registry4...) {
		for _, a := range firstAndLast(block) {
			refused(a.String())
			for _, text := range embeddings(a) {
				refused(text)
			}
		}
	}
	for _, block := range prefixes(registry6...) {
		for _, a := range firstAndLast(block) {
			refused(a.String())
			refused(a.WithZone("eth0").String())
		}
	}
	if n < 700 {
		t.Errorf("only %d addresses were tried", n)
	}
}

func TestCheckAddr_TheNeighboursOfTheRangesArePublic(t *testing.T) {
	p := Policy{}
	for _, text := range []string{
		"1.0.0.0", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255", "128.0.0.0", "169.253.255.255", "169.255.0.0", "172.15.255.255", "172.32.0.0",
		"191.255.255.255", "192.0.1.0", "192.0.3.0", "192.167.255.255", "192.169.0.0", "198.17.255.255", "198.20.0.0", "198.51.99.255", "198.51.101.0", "203.0.112.255", "203.0.114.0", "223.255.255.255",
		"2001:200::", "2001:db7:ffff::", "2001:db9::", "2003::", "2620:4f:8001::", "3ffe::", "2a00:1450::5efe:8.8.8.8",
	} {
		if err := p.CheckAddr(netip.MustParseAddr(text)); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestCheckAddr_MetadataInEveryEmbeddingWhateverElseIsAllowed(t *testing.T) {
	open := Policy{AllowInternal: true}
	for _, block := range metadata {
		addr := block.Addr()
		texts := []string{addr.String()}
		if addr.Is4() {
			texts = append(texts, embeddings(addr)...)
		}
		for _, text := range texts {
			if open.CheckAddr(netip.MustParseAddr(text)) == nil {
				t.Errorf("%s is allowed", text)
			}
		}
		named := Policy{AllowedCIDRs: []netip.Prefix{block}}
		if err := named.CheckAddr(addr); err != nil {
			t.Errorf("named: %v", err)
		}
	}
}

func TestCheckAddr_AnAllowedNAT64PrefixOpensNoPrivateNetwork(t *testing.T) {
	p := Policy{AllowedCIDRs: prefixes("64:ff9b::/96", "10.1.0.0/16")}
	for text, ok := range map[string]bool{
		"64:ff9b::808:808": true, "64:ff9b::10.1.2.3": true, "64:ff9b::10.2.0.1": false, "64:ff9b::7f00:1": false, "64:ff9b::a9fe:a9fe": false,
		"::ffff:10.1.2.3": true, "::ffff:10.2.2.3": false,
	} {
		if err := p.CheckAddr(netip.MustParseAddr(text)); (err == nil) != ok {
			t.Errorf("%s: %v", text, err)
		}
	}
}
