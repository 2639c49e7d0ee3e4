package target

import (
	"net"
	"net/netip"
	"strconv"
	"strings"

	"golang.org/x/net/idna"
)

// literal are the addresses that a host stands for without a name server being asked:
// an address as it should be written; one of the odd spellings that inet_aton(3) reads, as
// a C library's resolver or a proxy may; localhost (RFC 6761). None: it is a name.
func literal(host string) []netip.Addr {
	// What net/http does to a host: other scripts' digits and full stops become ASCII.
	if ascii, err := idna.Lookup.ToASCII(host); err == nil {
		host = ascii
	}
	host = strings.ToLower(strings.TrimRight(host, "."))
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()}
	}
	if addr, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{addr}
	}
	if addr, ok := aton(host); ok {
		return []netip.Addr{addr}
	}
	return nil
}

// aton reads up to four decimal, octal (0…) or hexadecimal (0x…) numbers, the last of
// which fills the bytes that are left.
func aton(host string) (netip.Addr, bool) {
	parts := strings.Split(host, ".")
	if len(parts) > 4 {
		return netip.Addr{}, false
	}
	var sum uint64
	for i, part := range parts {
		base := 10
		switch {
		case strings.HasPrefix(part, "0x"):
			part, base = part[2:], 16
			if part == "" {
				part = "0"
			}
		case len(part) > 1 && part[0] == '0':
			base = 8
		}
		n, err := strconv.ParseUint(part, base, 32)
		if err != nil {
			return netip.Addr{}, false
		}
		if i == len(parts)-1 {
			if n >= 1<<(8*(4-i)) {
				return netip.Addr{}, false
			}
			sum |= n
		} else if n > 255 {
			return netip.Addr{}, false
		} else {
			sum |= n << (24 - 8*i)
		}
	}
	return netip.AddrFrom4([4]byte{byte(sum >> 24), byte(sum >> 16), byte(sum >> 8), byte(sum)}), true
}

// ours reports whether an address is one of this machine's, which may be a public one too.
func ours(addr netip.Addr) bool {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return true // what cannot be told is not let through
	}
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok {
			if own, ok := netip.AddrFromSlice(n.IP); ok && own.Unmap() == addr {
				return true
			}
		}
	}
	return false
}
