// Package target decides where requests may go. The decision is made on the address that
// is dialled, after names are resolved, so that neither the spelling of a URL nor what a
// name server says gets around it.
package target

import (
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// Policy is [security] of agent.toml. The zero value allows nothing.
type Policy struct {
	Schemes       []string // http, https
	Ports         []int    // empty: all
	AllowInternal bool     // addresses that are not public
	AllowedCIDRs  []netip.Prefix
	// Proxy: requests go through the proxies that the environment names. Which address is
	// dialled is then the proxy's business; the proxy's own is not judged, since whoever
	// set the environment named it.
	Proxy bool
}

// Forbidden is why a target is refused. Trying again does not help.
type Forbidden struct {
	What string // the address or the URL's part
	Why  string
}

// Error says what was refused, why, and what would allow it.
func (f *Forbidden) Error() string { return fmt.Sprintf("%s is not allowed: %s", f.What, f.Why) }

// CheckURL judges what a URL tells without asking a name server: scheme, port, and a host
// that is an address.
func (p *Policy) CheckURL(u *url.URL) error {
	scheme := strings.ToLower(u.Scheme)
	if !slices.Contains(p.Schemes, scheme) {
		return &Forbidden{"the scheme " + strconv.Quote(scheme), "[security] allowed_schemes has only " + strings.Join(p.Schemes, ", ")}
	}
	if u.Hostname() == "" {
		return &Forbidden{"a URL without a host", "there is nobody to send to"}
	}
	port, err := Port(u)
	if err != nil {
		return &Forbidden{"port " + strconv.Quote(u.Port()), "it is no port"}
	}
	if err := p.checkPort(port); err != nil {
		return err
	}
	for _, addr := range literal(u.Hostname()) {
		if err = p.CheckAddr(addr); err == nil {
			return nil
		}
	}
	return err
}

// Port is the port that a URL leads to: its own, else that of its scheme.
func Port(u *url.URL) (int, error) {
	if text := u.Port(); text != "" {
		n, err := strconv.Atoi(text)
		if err == nil && (n < 1 || n > 65535) {
			err = strconv.ErrRange
		}
		return n, err
	}
	if strings.EqualFold(u.Scheme, "https") {
		return 443, nil
	}
	return 80, nil
}

func (p *Policy) checkPort(port int) error {
	if len(p.Ports) > 0 && !slices.Contains(p.Ports, port) {
		return &Forbidden{fmt.Sprintf("port %d", port), "[security] allowed_ports does not have it"}
	}
	return nil
}

// CheckAddr judges an address and every IPv4 address within it. To allow a NAT64 prefix
// in allowed_cidrs does not allow the private networks behind it.
func (p *Policy) CheckAddr(addr netip.Addr) error {
	// A mapped address is dialled as the IPv4 address it maps.
	addr = addr.WithZone("").Unmap()
	for _, a := range append([]netip.Addr{addr}, embedded(addr)...) {
		switch {
		case within(a, metadata) && named(a, p.AllowedCIDRs):
		case within(a, metadata):
			return &Forbidden{addr.String(), "it hands out a cloud's credentials; [security] allowed_cidrs would have to name it, by a prefix of /24 (IPv6: /64) or longer"}
		case within(a, p.AllowedCIDRs):
		case !p.AllowInternal && !public(a):
			return &Forbidden{addr.String(), "it is not a public address; set [security] allow_internal_requests, or name its network in allowed_cidrs"}
		case !p.AllowInternal && ours(a):
			return &Forbidden{addr.String(), "it is an address of this machine; set [security] allow_internal_requests, or name it in allowed_cidrs"}
		}
	}
	return nil
}

// named reports whether a network holds addr that is so small that it is meant: one that
// opens all of a site's addresses, or the whole internet's, does not open a cloud's
// credentials with them.
func named(addr netip.Addr, networks []netip.Prefix) bool {
	least := 24
	if addr.Is6() {
		least = 64
	}
	return slices.ContainsFunc(networks, func(p netip.Prefix) bool { return p.Bits() >= least && p.Contains(addr) })
}

// OpenMetadata returns the addresses at which clouds hand out credentials that the policy allows.
func (p *Policy) OpenMetadata() []netip.Addr {
	var open []netip.Addr
	for _, block := range metadata {
		if p.CheckAddr(block.Addr()) == nil {
			open = append(open, block.Addr())
		}
	}
	return open
}

// Control is for net.Dialer: it judges each address right before it is connected to.
func (p *Policy) Control(_, address string, _ syscall.RawConn) error {
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return &Forbidden{address, "it is no address and port"}
	}
	if err := p.checkPort(int(ap.Port())); err != nil {
		return err
	}
	return p.CheckAddr(ap.Addr())
}
