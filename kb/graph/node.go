package graph

import "strings"

// Node names an entity, whether or not it is declared anywhere.
type Node struct {
	// Group is the API group of a Kubernetes resource, without the version: "apps", and "" for the core group. It is backstage.io for
	// what is in Backstage's catalog, compose for what is in a Compose file, terraform for what is in a Terraform module, and "" for the
	// kinds that this package names: see the constants.
	Group string `json:"group,omitempty"`
	// Kind is a Kubernetes kind, Backstage's kind in lower case, or one of this package's kinds.
	Kind string `json:"kind"`
	// Namespace is that of a Kubernetes resource as it is written, and so may be empty; Backstage's, which is "default" where none is
	// written; the folder of a Terraform module; the path of a Compose file.
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
}

// Groups that are not of Kubernetes.
const (
	GroupBackstage = "backstage.io"
	GroupCompose   = "compose"
	GroupTerraform = "terraform"

	// groupAny is that of a reference which names a kind and no group. It is resolved by the kind.
	groupAny = "*"
)

// Kinds that are not of Kubernetes, Backstage, Compose or Terraform. Their group is empty.
const (
	KindAction     = "Action"     // A GitHub action or reusable workflow: owner/name, and the path in it.
	KindApp        = "App"        // What app.kubernetes.io/part-of names.
	KindChart      = "Chart"      // A Helm chart, by its name.
	KindCIDR       = "CIDR"       // A range of addresses.
	KindCodeOwner  = "CodeOwner"  // A user, team or address in CODEOWNERS, as it is written there.
	KindImage      = "Image"      // A container image, by its repository with the registry, without tag and digest.
	KindPath       = "Path"       // A file or folder of the repository, from its root.
	KindPattern    = "Pattern"    // A pattern of CODEOWNERS.
	KindPods       = "Pods"       // The pods that have labels. The name is a Kubernetes label selector; the namespace "*" means all.
	KindRepository = "Repository" // A repository of code, charts or artifacts: its URL without scheme, credentials and .git.
	KindTeam       = "Team"       // A team, as a label names it. It is Backstage's group of that name, if there is one.
	KindTool       = "Tool"       // What app.kubernetes.io/managed-by names.
)

// String is the node's id: Deployment.apps:shop/cart, Service:shop/cart, component:default/cart as Backstage writes it, or
// Image:docker.io/library/redis.
func (n Node) String() string {
	var b strings.Builder
	b.WriteString(n.Kind)
	if n.Group != "" && n.Group != GroupBackstage && n.Group != groupAny {
		b.WriteByte('.')
		b.WriteString(n.Group)
	}
	b.WriteByte(':')
	if n.Namespace != "" {
		b.WriteString(n.Namespace)
		b.WriteByte('/')
	}
	b.WriteString(n.Name)
	return b.String()
}

// Compare orders nodes by kind, namespace, name and group.
func (n Node) Compare(o Node) int {
	if c := strings.Compare(n.Kind, o.Kind); c != 0 {
		return c
	}
	if c := strings.Compare(n.Namespace, o.Namespace); c != 0 {
		return c
	}
	if c := strings.Compare(n.Name, o.Name); c != 0 {
		return c
	}
	return strings.Compare(n.Group, o.Group)
}
