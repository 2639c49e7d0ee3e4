package target

import "net/netip"

// internal are the ranges that are not public, from IANA's special-purpose registries
// (https://www.iana.org/assignments/iana-ipv4-special-registry and
// https://www.iana.org/assignments/iana-ipv6-special-registry), with multicast and what
// was set aside and given back (site-local). The few globally
// reachable blocks within them are of no use to a webhook and not taken out. Of IPv6 only
// 2000::/3 is given out at all (RFC 4291, 2.4), so the rest of it is refused whole.
var internal = prefixes(
	"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
	"192.0.0.0/24", "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.168.0.0/16", "192.175.48.0/24",
	"198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
	"::/128", "::1/128", "::/96", "64:ff9b:1::/48", "100::/64", "100:0:0:1::/64", "2001::/23", "2001:db8::/32",
	"2002::/16", "2620:4f:8000::/48", "3fff::/20", "5f00::/16", "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8",
	"::/3", "4000::/2", "8000::/1",
)

// metadata are the addresses at which clouds hand out credentials: AWS, Google, Azure and
// most others; ECS and EKS; Alibaba; Oracle; Azure's wire server; Scaleway; OpenStack.
// They are refused whatever else is allowed, unless within allowed_cidrs.
var metadata = prefixes(
	"169.254.169.254/32", "169.254.170.2/32", "169.254.170.23/32", "100.100.100.200/32", "192.0.0.192/32", "168.63.129.16/32", "169.254.42.42/32",
	"fd00:ec2::254/128", "fd00:ec2::23/128", "fd20:ce::254/128", "fd00:42::42/128", "fe80::a9fe:a9fe/128",
)

func prefixes(texts ...string) []netip.Prefix {
	out := make([]netip.Prefix, len(texts))
	for i, text := range texts {
		out[i] = netip.MustParsePrefix(text)
	}
	return out
}

// public reports whether an address is one that anybody can reach. NAT64's well-known prefix
// is, beyond 2000::/3: where there is no IPv4, name servers give its addresses for every host
// that has no others. What it leads to is judged by the IPv4 address within (see embedded);
// it must be a public one in any case (RFC 6052, 3.1).
func public(addr netip.Addr) bool {
	return addr.IsValid() && (nat64.Contains(addr) || !within(addr, internal))
}

func within(addr netip.Addr, list []netip.Prefix) bool {
	for _, p := range list {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}

var (
	compatible = netip.MustParsePrefix("::/96")
	translated = netip.MustParsePrefix("::ffff:0:0:0/96")
	nat64      = netip.MustParsePrefix("64:ff9b::/96")
	nat64Local = netip.MustParsePrefix("64:ff9b:1::/48")
	sixToFour  = netip.MustParsePrefix("2002::/16")
	teredo     = netip.MustParsePrefix("2001::/32")
)

// embedded are the IPv4 addresses that an IPv6 address leads to by a transition
// mechanism: compatible (RFC 4291), translated (RFC 2765), NAT64 (RFC 6052 with its
// prefix lengths, 8215), 6to4 (RFC 3056), Teredo's client and server (RFC 4380), ISATAP
// (RFC 5214). A NAT64 prefix of an operator's own cannot be known.
func embedded(addr netip.Addr) []netip.Addr {
	if !addr.Is6() || addr.IsUnspecified() || addr.IsLoopback() {
		return nil
	}
	b := addr.As16()
	v4 := func(at ...int) netip.Addr { return netip.AddrFrom4([4]byte{b[at[0]], b[at[1]], b[at[2]], b[at[3]]}) }
	switch {
	case compatible.Contains(addr), translated.Contains(addr), nat64.Contains(addr):
		return []netip.Addr{v4(12, 13, 14, 15)}
	case nat64Local.Contains(addr):
		return []netip.Addr{v4(6, 7, 9, 10), v4(7, 9, 10, 11), v4(9, 10, 11, 12), v4(12, 13, 14, 15)}
	case sixToFour.Contains(addr):
		return []netip.Addr{v4(2, 3, 4, 5)}
	case teredo.Contains(addr):
		client := [4]byte{^b[12], ^b[13], ^b[14], ^b[15]}
		return []netip.Addr{v4(4, 5, 6, 7), netip.AddrFrom4(client)}
	case (b[8] == 0 || b[8] == 2) && b[9] == 0 && b[10] == 0x5e && b[11] == 0xfe:
		return []netip.Addr{v4(12, 13, 14, 15)}
	}
	return nil
}
