package target

import (
	"errors"
	"net"
	"net/netip"
	"net/url"
	"testing"
)

func TestCheckAddr_NothingThatIsNotPublic(t *testing.T) {
	p := Policy{}
	for _, text := range []string{
		"0.0.0.0", "0.1.2.3", "10.1.2.3", "100.64.0.1", "100.127.255.255", "127.0.0.1", "127.255.255.254", "169.254.1.1", "169.254.169.254", "172.16.0.1", "172.31.255.255",
		"192.0.0.1", "192.0.0.170", "192.0.2.1", "192.31.196.1", "192.52.193.1", "192.88.99.1", "192.168.0.1", "192.175.48.1", "198.18.0.1", "198.19.255.255", "198.51.100.1",
		"203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255",
		"::", "::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::127.0.0.1", "64:ff9b::127.0.0.1", "64:ff9b::192.168.1.1", "64:ff9b::169.254.169.254", "64:ff9b:1::10.0.0.1", "100::1", "2001::1", "2001:2::1", "2001:db8::1", "2001:10::1",
		"2001:20::1", "2002:7f00:1::", "2002:a00:1::1", "2620:4f:8000::1", "3fff::1", "5f00::1", "fc00::1", "fd00:ec2::254", "fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1",
		"2600::5efe:127.0.0.1", "2600::200:5efe:10.0.0.1", "2001:0:0808:0808:0:0:80ff:fffe",
	} {
		var forbidden *Forbidden
		if err := p.CheckAddr(netip.MustParseAddr(text)); !errors.As(err, &forbidden) {
			t.Errorf("%s: %v", text, err)
		}
	}
	for _, text := range []string{"8.8.8.8", "1.1.1.1", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8", "2606:4700::1111", "2a00:1450:4001::1", "172.32.0.1", "100.128.0.1", "223.255.255.255"} {
		if err := p.CheckAddr(netip.MustParseAddr(text)); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestCheckAddr_MetadataIsRefusedUnlessNamed(t *testing.T) {
	open := Policy{AllowInternal: true}
	for _, text := range []string{"169.254.169.254", "::ffff:169.254.169.254", "fd00:ec2::254", "64:ff9b::169.254.169.254", "2002:a9fe:a9fe::", "::169.254.169.254", "169.254.170.2"} {
		if open.CheckAddr(netip.MustParseAddr(text)) == nil {
			t.Errorf("%s is allowed", text)
		}
	}
	for _, text := range []string{"127.0.0.1", "10.0.0.1", "::1", "fe80::1"} {
		if err := open.CheckAddr(netip.MustParseAddr(text)); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
	named := Policy{AllowedCIDRs: prefixes("169.254.169.254/32", "10.1.0.0/16")}
	for _, text := range []string{"169.254.169.254", "::ffff:169.254.169.254", "10.1.2.3"} {
		if err := named.CheckAddr(netip.MustParseAddr(text)); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
	for text, cidr := range map[string]string{
		"169.254.169.254": "0.0.0.0/0", "169.254.170.2": "169.254.0.0/16", "168.63.129.16": "168.63.0.0/17", "100.100.100.200": "100.64.0.0/10",
		"fd00:ec2::254": "fc00::/7", "::ffff:169.254.169.254": "169.254.168.0/23", "64:ff9b::a9fe:a9fe": "64:ff9b::/96", "2002:a9fe:a9fe::1": "2002::/16",
	} {
		if wide := (Policy{AllowInternal: true, AllowedCIDRs: prefixes(cidr)}); wide.CheckAddr(netip.MustParseAddr(text)) == nil {
			t.Errorf("%s is open because %s is allowed", text, cidr)
		}
	}
	for text, cidr := range map[string]string{"169.254.169.254": "169.254.169.0/24", "fd00:ec2::254": "fd00:ec2::/64"} {
		if narrow := (Policy{AllowedCIDRs: prefixes(cidr)}); narrow.CheckAddr(netip.MustParseAddr(text)) != nil {
			t.Errorf("%s is refused although %s is allowed", text, cidr)
		}
	}
	if named.CheckAddr(netip.MustParseAddr("10.2.0.1")) == nil {
		t.Error("10.2.0.1 is allowed though another network was named")
	}
}

func TestCheckURL_SchemesPortsAndLiteralHosts(t *testing.T) {
	p := Policy{Schemes: []string{"https"}, Ports: []int{443, 8443}}
	for text, ok := range map[string]bool{
		"https://example.org/x": true, "https://example.org:8443/": true, "http://example.org/": false, "https://example.org:444/": false,
		"https://127.0.0.1/": false, "https://[::1]/": false, "https://[::ffff:127.0.0.1]:443/": false, "https://127.0.0.1./": false, "ftp://example.org/": false, "https:///x": false,
		"https://0177.0.0.1/": false, "https://127.1/": false, "https://0x7f.1/": false, "https://2130706433/": false, "https://0x7f000001./": false, "https://127。0。0。1/": false, "https://①②⑦.0.0.1/": false, "https://10.1/": false, "https://0/": false,
		"https://localhost/": false, "https://a.LocalHost./": false, "https://0x08080808/": true, "https://134744072/": true, "https://256.1/": true, "https://1.2.3.4.5/": true, "https://localhost.example.org/": true, "https://0x.example.org/": true,
		"HTTPS://Example.org/": true,
	} {
		u, err := url.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if err := p.CheckURL(u); (err == nil) != ok {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestControl_JudgesTheAddressDialled(t *testing.T) {
	p := Policy{Ports: []int{80}}
	for address, ok := range map[string]bool{"8.8.8.8:80": true, "8.8.8.8:81": false, "127.0.0.1:80": false, "[::1]:80": false, "[fe80::1%lo]:80": false, "name:80": false} {
		if err := p.Control("tcp", address, nil); (err == nil) != ok {
			t.Errorf("%s: %v", address, err)
		}
	}
}

func TestCheckAddr_OnlyWhatIsGivenOutOfIPv6(t *testing.T) {
	var p Policy
	for text, ok := range map[string]bool{"1::1": false, "4000::1": false, "9000::1": false, "::ffff:0:8.8.8.8": false, "2606:4700::1": true, "3f00::1": true} {
		if err := p.CheckAddr(netip.MustParseAddr(text)); (err == nil) != ok {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestOurs_EveryAddressOfThisMachine(t *testing.T) {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addrs {
		own, _ := netip.AddrFromSlice(a.(*net.IPNet).IP)
		if !ours(own.Unmap()) {
			t.Errorf("%s is not told to be ours", own)
		}
	}
	if ours(netip.MustParseAddr("192.0.2.1")) {
		t.Error("192.0.2.1 is ours")
	}
}
