package graph

import (
	"net/netip"
	"regexp"
	"strings"
)

var (
	hostRE = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\.?$`)
	portRE = regexp.MustCompile(`^[0-9]{1,5}$`)
	// addressRE are names of variables that hold a host and nothing else.
	addressRE = regexp.MustCompile(`(?i)(^|_)(HOST|HOSTNAME|ADDR|ADDRESS|URL|URI|ENDPOINT|SERVER|SERVERS|BROKERS|SERVICE)$`)
)

// hostsIn returns the hosts that the value of an environment variable names: those of URLs, of host:port, and a host alone in a variable
// whose name says that it holds one. Several may be divided by commas. Credentials in a URL are passed over.
func hostsIn(variable, text string) []string {
	if len(text) > 4096 {
		return nil
	}
	var hosts []string
	for part := range strings.SplitSeq(text, ",") {
		part = strings.TrimSpace(part)
		sure := false
		if scheme, rest, found := strings.Cut(part, "://"); found && scheme != "" {
			part, sure = rest, true
			if at := strings.LastIndexByte(part, '@'); at >= 0 {
				part = part[at+1:]
			}
		}
		if end := strings.IndexAny(part, "/?#"); end >= 0 {
			part = part[:end]
		}
		if host, port, found := strings.Cut(part, ":"); found {
			if !portRE.MatchString(port) {
				continue
			}
			part, sure = host, true
		}
		if !sure && !addressRE.MatchString(variable) && !strings.Contains(part, ".svc") {
			continue
		}
		if _, err := netip.ParseAddr(part); err == nil || len(part) > 253 || !hostRE.MatchString(part) {
			continue
		}
		hosts = append(hosts, strings.TrimSuffix(part, "."))
	}
	return hosts
}

// service adds a dependency on the Service that a host is the name of: cart, cart.shop, cart.shop.svc or cart.shop.svc.cluster.local. It
// counts where that Service is declared.
func (c *collector) service(from Node, namespace, host string, line int) {
	name, rest, _ := strings.Cut(host, ".")
	if rest != "" {
		ns, domain, _ := strings.Cut(rest, ".")
		if domain != "" && domain != "svc" && !strings.HasPrefix(domain, "svc.") {
			return
		}
		namespace = ns
	}
	c.add(Link{From: from, Relation: DependsOn, To: Node{"", "Service", namespace, name}, Line: line, IfDeclared: true})
}
