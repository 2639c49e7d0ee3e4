package send

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"syscall"
)

// offline reports whether a failure is such as a machine without network has: it came
// before there was a connection, and was about the way there.
func offline(err error, host string, ph phases) bool {
	if ip, parseErr := netip.ParseAddr(host); parseErr == nil && ip.IsLoopback() || host == "localhost" {
		return false
	}
	var dns *net.DNSError
	return errors.Is(err, syscall.ENETUNREACH) || errors.Is(err, syscall.ENETDOWN) || errors.Is(err, syscall.EHOSTUNREACH) ||
		errors.Is(err, syscall.EADDRNOTAVAIL) ||
		errors.As(err, &dns) && !dns.IsNotFound ||
		ph.remote == "" && (errors.Is(err, errTimeout) || errors.Is(err, context.DeadlineExceeded))
}

// connected reports whether this machine has an interface with a carrier, and an address on
// it that others could reach. A container whose host is cut off still has one: its
// failures then count as the endpoint's.
func connected() bool {
	interfaces, err := net.Interfaces()
	if err != nil {
		return true
	}
	for _, i := range interfaces {
		if i.Flags&net.FlagRunning == 0 || i.Flags&net.FlagLoopback != 0 {
			continue
		}
		addrs, err := i.Addrs()
		if err != nil {
			return true
		}
		for _, a := range addrs {
			if n, ok := a.(*net.IPNet); ok && !n.IP.IsLinkLocalUnicast() {
				return true
			}
		}
	}
	return false
}
