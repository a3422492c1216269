package graph

import "cmp"

// Relation is what one entity is to another. They are a closed set.
type Relation string

// The relations, from -> to.
const (
	AllowsFrom  Relation = "allowsFrom"  // A network policy lets traffic in from.
	AllowsTo    Relation = "allowsTo"    // A network policy lets traffic out to.
	AppliesTo   Relation = "appliesTo"   // A policy or a budget constrains pods.
	AttachedTo  Relation = "attachedTo"  // A route is attached to a gateway.
	BuiltFrom   Relation = "builtFrom"   // A Dockerfile builds upon an image, or copies out of it.
	ChildOf     Relation = "childOf"     // A group's parent, as in Backstage.
	Consumes    Relation = "consumesApi" // As in Backstage.
	DeclaredIn  Relation = "declaredIn"  // An entity, and a file that declares it.
	DependsOn   Relation = "dependsOn"   // Needs it to do its work: dependsOn of Backstage, Flux and Compose, references of Terraform, and Services that a workload's environment names.
	Deploys     Relation = "deploys"     // An application, release or kustomization, and the path, chart or workload it brings to a cluster.
	DeploysTo   Relation = "deploysTo"   // And the namespace or cluster it brings it to.
	Grants      Relation = "grants"      // A binding, and the role it grants.
	GrantsTo    Relation = "grantsTo"    // A binding, and whom it grants the role.
	Includes    Relation = "includes"    // A file or artifact, and files that become part of it.
	ManagedBy   Relation = "managedBy"   // What creates an entity and keeps it.
	MemberOf    Relation = "memberOf"    // A user's group, as in Backstage.
	OwnedBy     Relation = "ownedBy"     // Who is responsible, as in Backstage and CODEOWNERS.
	PartOf      Relation = "partOf"      // A component of a system, a system of a domain, a resource of an application, as in Backstage.
	Patches     Relation = "patches"     // A kustomization changes it.
	Provides    Relation = "providesApi" // As in Backstage.
	RoutesTo    Relation = "routesTo"    // An ingress or route, and the Service it sends requests to.
	Runs        Relation = "runs"        // A workload, and the image it runs.
	SameAs      Relation = "sameAs"      // Two names of one.
	Scales      Relation = "scales"      // An autoscaler, and what it scales.
	Selects     Relation = "selects"     // A Service, and the workloads that serve its requests.
	SourcedFrom Relation = "sourcedFrom" // Where what is deployed or built comes from.
	Uses        Relation = "uses"        // Reads configuration, mounts a volume, runs as an account, calls an action.

	// Contains joins a folder that something refers to with the files it stands for, and pods that are very many with their workloads,
	// as AppliesTo does where a policy is for them. No file declares it.
	Contains Relation = "contains"
)

// direction says who is affected by a change of whom.
type direction int8

const (
	none     direction = iota // Neither.
	forward                   // From is affected by a change of to.
	backward                  // To is affected by a change of from.
)

var relations = map[Relation]direction{
	AllowsFrom: none, AllowsTo: none, AppliesTo: backward, AttachedTo: forward, BuiltFrom: forward, ChildOf: none, Consumes: forward,
	DeclaredIn: forward, DependsOn: forward, Deploys: forward, DeploysTo: forward, Grants: forward, GrantsTo: backward, Includes: forward,
	ManagedBy: forward, MemberOf: none, OwnedBy: none, PartOf: backward, Patches: backward, Provides: backward, RoutesTo: forward,
	Runs: forward, SameAs: none, Scales: backward, Selects: forward, SourcedFrom: forward, Uses: forward, Contains: forward,
}

// Edge is a relation of two entities, and where it is written.
type Edge struct {
	From     Node     `json:"from"`
	Relation Relation `json:"relation"`
	To       Node     `json:"to"`
	// Version is the tag, digest, version or revision of To that is wanted, as it is written; empty where none is.
	Version string `json:"version,omitempty"`
	// File is where it is written, and Line is counted from 1. Both are empty for what no file declares: see Contains.
	File string `json:"file,omitempty"`
	Line int    `json:"line,omitempty"`
	// Commit is the one that the graph is of.
	Commit string `json:"commit,omitempty"`
}

// Compare orders edges by from, relation, to, version, file and line.
func (e Edge) Compare(o Edge) int {
	return cmp.Or(e.From.Compare(o.From), cmp.Compare(e.Relation, o.Relation), e.To.Compare(o.To), cmp.Compare(e.Version, o.Version),
		cmp.Compare(e.File, o.File), cmp.Compare(e.Line, o.Line))
}
