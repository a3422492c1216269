package graph

import "strings"

// resource reads a Kubernetes resource.
func (c *collector) resource(d document, g, kind string) {
	meta := d.get("metadata")
	self := Node{g, kind, meta.get("namespace").text(), meta.get("name").text()}
	if !self.plain() {
		return
	}
	e := Entity{Node: self, First: d.first, Last: d.last}
	pod, template := podOf(d.value, g, kind)
	if pod.there() {
		e.Labels = template.get("metadata", "labels").labels()
	}
	c.entity(e)
	c.ownership(self, meta.get("labels"))
	if pod.there() {
		c.pod(self, pod)
	}
	r := resource{c, self, d.value, d.get("spec")}
	switch g {
	case "", "apps", "batch":
		switch kind {
		case "Service":
			if selector := r.spec.get("selector"); len(selector.labels()) > 0 {
				c.link(self, Selects, pods(self.Namespace, selectorOf(selector.labels())), selector.line())
			}
			if name := r.spec.get("externalName"); name.text() != "" {
				c.service(self, self.Namespace, name.text(), name.line())
			}
		case "StatefulSet":
			if name := r.spec.get("serviceName"); name.text() != "" {
				c.link(self, Uses, r.named("", "Service", name), name.line())
			}
		case "ServiceAccount":
			for _, field := range []string{"secrets", "imagePullSecrets"} {
				for s := range d.get(field).items() {
					c.link(self, Uses, r.named("", "Secret", s.get("name")), s.get("name").line())
				}
			}
		case "PersistentVolumeClaim":
			r.use(r.spec.get("storageClassName"), Node{"storage.k8s.io", "StorageClass", "", r.spec.get("storageClassName").text()})
			r.use(r.spec.get("volumeName"), Node{"", "PersistentVolume", "", r.spec.get("volumeName").text()})
		}
	case "networking.k8s.io", "gateway.networking.k8s.io", "networking.istio.io", "extensions":
		r.network(g, kind)
	case "policy":
		if kind == "PodDisruptionBudget" {
			r.selects(AppliesTo, r.spec.get("selector"), self.Namespace)
		}
	case "autoscaling", "keda.sh", "autoscaling.k8s.io":
		for _, field := range []string{"scaleTargetRef", "targetRef"} {
			if target := r.spec.get(field); target.there() {
				c.link(self, Scales, r.typed(target, "apps", "Deployment"), target.get("name").line())
			}
		}
	case "rbac.authorization.k8s.io":
		r.binding(kind)
	case "argoproj.io":
		r.argo(kind)
	case "external-secrets.io":
		r.externalSecret(kind)
	default:
		if strings.HasSuffix(g, ".fluxcd.io") {
			r.flux(g, kind)
		}
	}
	if !builtIn(g) && g != "image.toolkit.fluxcd.io" { // There an image is what is watched.
		r.wellKnown(d.get("spec"), 0)
	}
}

// builtIn reports whether a group is Kubernetes' own, whose references are read field by field.
func builtIn(g string) bool {
	return g == "" || !strings.Contains(g, ".") || strings.HasSuffix(g, ".k8s.io") && g != "gateway.networking.k8s.io"
}

// resource is one that is read.
type resource struct {
	*collector
	self       Node
	root, spec value
}

// named is a resource of the same namespace.
func (r resource) named(g, kind string, name value) Node {
	return Node{g, kind, r.self.Namespace, name.text()}
}

// typed is what a reference with apiVersion or group, kind, namespace and name is to.
func (r resource) typed(ref value, g, kind string) Node {
	n := Node{g, kind, r.self.Namespace, ref.get("name").text()}
	if k := ref.get("kind").text(); k != "" {
		if k != kind {
			n.Group = groupAny
		}
		n.Kind = k
	}
	if v := ref.get("apiVersion").text(); v != "" {
		n.Group = group(v)
	}
	for _, field := range []string{"group", "apiGroup"} {
		if v := ref.get(field); v.there() {
			n.Group = v.text()
		}
	}
	if ns := ref.get("namespace").text(); ns != "" {
		n.Namespace = ns
	}
	return n
}

func (r resource) use(at value, n Node) {
	if at.text() != "" {
		r.link(r.self, Uses, n, at.line())
	}
}

// podOf returns the spec of the pods that a resource makes, and the template or the pod itself, which has their labels.
func podOf(d value, g, kind string) (spec, template value) {
	switch {
	case g == "" && kind == "Pod":
		template = d
	case kind == "CronJob":
		template = d.get("spec", "jobTemplate", "spec", "template")
	case g == "" && kind == "PodTemplate":
		template = d.get("template")
	default:
		template = d.get("spec", "template")
	}
	if spec = template.get("spec"); !spec.get("containers").there() && !spec.get("initContainers").there() {
		return value{c: d.c}, template
	}
	return spec, template
}

// pod reads what the pods of a workload run and need.
func (c *collector) pod(self Node, spec value) {
	r := resource{c, self, spec, spec}
	for _, field := range []string{"initContainers", "containers", "ephemeralContainers"} {
		for container := range spec.get(field).items() {
			r.container(container)
		}
	}
	for v := range spec.get("volumes").items() {
		r.volume(v)
	}
	for s := range spec.get("imagePullSecrets").items() {
		r.use(s.get("name"), r.named("", "Secret", s.get("name")))
	}
	for _, field := range []string{"serviceAccountName", "serviceAccount"} {
		r.use(spec.get(field), r.named("", "ServiceAccount", spec.get(field)))
	}
	if class := spec.get("priorityClassName"); class.text() != "" {
		r.use(class, Node{"scheduling.k8s.io", "PriorityClass", "", class.text()})
	}
}

func (r resource) container(container value) {
	if img := container.get("image"); img.text() != "" {
		r.runs(r.self, Runs, img)
	}
	for from := range container.get("envFrom").items() {
		r.config(from.get("configMapRef", "name"), from.get("secretRef", "name"))
	}
	for env := range container.get("env").items() {
		from := env.get("valueFrom")
		r.config(from.get("configMapKeyRef", "name"), from.get("secretKeyRef", "name"))
		if v := env.get("value"); v.text() != "" {
			for _, host := range hostsIn(env.get("name").text(), v.text()) {
				r.service(r.self, r.self.Namespace, host, v.line())
			}
		}
	}
}

// config adds uses of a ConfigMap and a Secret.
func (r resource) config(configMap, secret value) {
	r.use(configMap, r.named("", "ConfigMap", configMap))
	r.use(secret, r.named("", "Secret", secret))
}

func (r resource) volume(v value) {
	r.config(v.get("configMap", "name"), v.get("secret", "secretName"))
	r.use(v.get("persistentVolumeClaim", "claimName"), r.named("", "PersistentVolumeClaim", v.get("persistentVolumeClaim", "claimName")))
	for source := range v.get("projected", "sources").items() {
		r.config(source.get("configMap", "name"), source.get("secret", "name"))
	}
	r.config(value{c: r.collector}, v.get("csi", "nodePublishSecretRef", "name"))
}

// ownership reads labels that say whose a resource is, and what it is part of.
func (c *collector) ownership(self Node, labels value) {
	for key, v := range labels.pairs() {
		switch key.text() {
		case "app.kubernetes.io/part-of":
			c.link(self, PartOf, Node{Kind: KindApp, Name: v.text()}, v.line())
		case "app.kubernetes.io/managed-by":
			c.link(self, ManagedBy, Node{Kind: KindTool, Name: v.text()}, v.line())
		case "backstage.io/kubernetes-id":
			c.link(self, PartOf, entityRef(v.text(), "component", "default"), v.line())
		case "team", "owner", "toolkit.fluxcd.io/tenant":
			c.link(self, OwnedBy, Node{Kind: KindTeam, Name: v.text()}, v.line())
		}
	}
}

// wellKnown finds references in resources of other makers by the fields that are called the same everywhere, and the pods they make.
func (r resource) wellKnown(v value, depth int) {
	if depth > 32 {
		return
	}
	if v.get("containers").there() {
		r.pod(r.self, v)
	}
	for key, item := range v.pairs() {
		switch k := key.text(); {
		case k == "image" && strings.ContainsAny(item.text(), ":/"):
			r.runs(r.self, Runs, item)
		case k == "container":
			r.container(item)
		case k == "configMapRef" || k == "configMapKeyRef":
			r.config(r.nameIn(item), value{c: r.collector})
		case k == "secretRef" || strings.HasSuffix(k, "SecretRef") || strings.HasSuffix(k, "SecretKeyRef") || k == "secretKeyRef":
			r.secret(item)
		case k == "secretName" && item.text() != "":
			r.use(item, r.named("", "Secret", item))
		case k == "serviceAccountName" && item.text() != "":
			r.use(item, r.named("", "ServiceAccount", item))
		case k == "parentRefs":
			for ref := range item.items() {
				r.link(r.self, AttachedTo, r.typed(ref, "gateway.networking.k8s.io", "Gateway"), ref.get("name").line())
			}
			continue
		}
		r.wellKnown(item, depth+1)
	}
	for item := range v.items() {
		r.wellKnown(item, depth+1)
	}
}

func (r resource) nameIn(ref value) value {
	if ref.text() != "" {
		return ref
	}
	return ref.get("name")
}

func (r resource) secret(ref value) {
	name := r.nameIn(ref)
	n := r.named("", "Secret", name)
	if ns := ref.get("namespace").text(); ns != "" {
		n.Namespace = ns
	}
	r.use(name, n)
}

// externalSecret reads where an ExternalSecret takes a Secret from, and which it makes of it.
func (r resource) externalSecret(kind string) {
	if kind != "ExternalSecret" {
		return
	}
	if ref := r.spec.get("secretStoreRef"); ref.there() {
		store := r.typed(ref, "external-secrets.io", "SecretStore")
		if store.Group = "external-secrets.io"; store.Kind == "ClusterSecretStore" {
			store.Namespace = ""
		}
		r.use(ref.get("name"), store)
	}
	name := r.spec.get("target", "name")
	if name.text() == "" {
		name = r.root.get("metadata", "name")
	}
	r.link(r.named("", "Secret", name), ManagedBy, r.self, name.line())
}
