package graph

// binding reads whom a RoleBinding or ClusterRoleBinding grants what.
func (r resource) binding(kind string) {
	if kind != "RoleBinding" && kind != "ClusterRoleBinding" {
		return
	}
	const rbac = "rbac.authorization.k8s.io"
	ref := r.root.get("roleRef")
	role := r.typed(ref, rbac, "Role")
	if role.Group = rbac; role.Kind == "ClusterRole" {
		role.Namespace = ""
	}
	r.link(r.self, Grants, role, ref.get("name").line())
	for s := range r.root.get("subjects").items() {
		subject := Node{"", s.get("kind").text(), s.get("namespace").text(), s.get("name").text()}
		switch subject.Kind {
		case "ServiceAccount":
			if subject.Namespace == "" {
				subject.Namespace = r.self.Namespace
			}
		case "User", "Group":
			subject.Group, subject.Namespace = rbac, ""
		default:
			continue
		}
		r.link(r.self, GrantsTo, subject, s.get("name").line())
	}
}
