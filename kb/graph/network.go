package graph

import "strings"

// network reads what brings requests to Services, and what lets them through.
func (r resource) network(g, kind string) {
	switch {
	case kind == "Ingress":
		r.ingress()
	case kind == "NetworkPolicy":
		r.networkPolicy()
	case g == "gateway.networking.k8s.io" && strings.HasSuffix(kind, "Route"):
		r.route()
	case g == "gateway.networking.k8s.io" && kind == "Gateway":
		class := r.spec.get("gatewayClassName")
		r.use(class, Node{g, "GatewayClass", "", class.text()})
		for listener := range r.spec.get("listeners").items() {
			for ref := range listener.get("tls", "certificateRefs").items() {
				r.use(ref.get("name"), r.typed(ref, "", "Secret"))
			}
		}
	case kind == "VirtualService":
		r.virtualService()
	case kind == "Gateway": // Istio's.
		selector := r.spec.get("selector")
		if labels := selector.labels(); len(labels) > 0 {
			r.link(r.self, AppliesTo, pods("*", selectorOf(labels)), selector.line())
		}
	}
}

func (r resource) ingress() {
	class := r.spec.get("ingressClassName")
	r.use(class, Node{"networking.k8s.io", "IngressClass", "", class.text()})
	backend := func(b value) {
		for _, name := range []value{b.get("service", "name"), b.get("serviceName")} {
			if name.text() != "" {
				r.link(r.self, RoutesTo, r.named("", "Service", name), name.line())
			}
		}
	}
	backend(r.spec.get("defaultBackend"))
	backend(r.spec.get("backend"))
	for rule := range r.spec.get("rules").items() {
		for p := range rule.get("http", "paths").items() {
			backend(p.get("backend"))
		}
	}
	for tls := range r.spec.get("tls").items() {
		r.use(tls.get("secretName"), r.named("", "Secret", tls.get("secretName")))
	}
}

// route reads a route of the Gateway API. What it is attached to is read with the well-known fields.
func (r resource) route() {
	for rule := range r.spec.get("rules").items() {
		for ref := range rule.get("backendRefs").items() {
			r.link(r.self, RoutesTo, r.typed(ref, "", "Service"), ref.get("name").line())
		}
		for filter := range rule.get("filters").items() {
			if ref := filter.get("requestMirror", "backendRef"); ref.there() {
				r.link(r.self, RoutesTo, r.typed(ref, "", "Service"), ref.get("name").line())
			}
		}
	}
}

// virtualService reads Istio's route.
func (r resource) virtualService() {
	for v := range r.spec.get("gateways").items() {
		if v.text() == "mesh" {
			continue
		}
		namespace, name, found := strings.Cut(v.text(), "/")
		if !found {
			namespace, name = r.self.Namespace, v.text()
		}
		r.link(r.self, AttachedTo, Node{"networking.istio.io", "Gateway", namespace, name}, v.line())
	}
	for _, protocol := range []string{"http", "tcp", "tls"} {
		for rule := range r.spec.get(protocol).items() {
			for route := range rule.get("route").items() {
				host := route.get("destination", "host")
				name, rest, _ := strings.Cut(host.text(), ".")
				n := Node{"", "Service", r.self.Namespace, name}
				if rest != "" {
					n.Namespace, _, _ = strings.Cut(rest, ".")
				}
				r.link(r.self, RoutesTo, n, host.line())
			}
		}
	}
}

func (r resource) networkPolicy() {
	r.selects(AppliesTo, r.spec.get("podSelector"), r.self.Namespace)
	for _, way := range []struct {
		rules, peers string
		relation     Relation
	}{{"ingress", "from", AllowsFrom}, {"egress", "to", AllowsTo}} {
		for rule := range r.spec.get(way.rules).items() {
			peers := rule.get(way.peers)
			if peers.there() && len(peers.node.Content) > 0 {
				for peer := range peers.items() {
					r.peer(way.relation, peer)
				}
			} else {
				// A rule that names nobody is for everybody, in the cluster and outside of it.
				r.link(r.self, way.relation, Node{Kind: KindCIDR, Name: "0.0.0.0/0"}, rule.line())
			}
		}
	}
}

func (r resource) peer(relation Relation, peer value) {
	podSelector, namespaces := peer.get("podSelector"), peer.get("namespaceSelector")
	if cidr := peer.get("ipBlock", "cidr"); cidr.text() != "" {
		r.link(r.self, relation, Node{Kind: KindCIDR, Name: cidr.text()}, cidr.line())
	}
	namespace := r.self.Namespace
	if namespaces.there() {
		namespace = "*"
		labels := namespaces.get("matchLabels").labels()
		if name := labels["kubernetes.io/metadata.name"]; name != "" && len(labels) == 1 && !namespaces.get("matchExpressions").there() {
			namespace = name
		}
		if !podSelector.there() {
			if namespace != "*" {
				r.link(r.self, relation, Node{"", "Namespace", "", namespace}, namespaces.line())
			} else {
				r.link(r.self, relation, pods("*", ""), namespaces.line())
			}
		}
	}
	r.selects(relation, podSelector, namespace)
}
