package platformteam_test

import (
	"strings"
	"testing"

	platformteam "github.com/mainstay-dev/mainstay/examples/platform-team"
	"github.com/mainstay-dev/mainstay/reconciler/policy"
	"github.com/mainstay-dev/mainstay/spec"
)

func TestPoliciesDecideAsTheirCommentsSay(t *testing.T) {
	policies := load(t, platformteam.Files(), "").Policies
	restart := func(agent, namespace string) policy.Decision {
		return policy.Decide(policy.Call{Agent: agent, Server: "cluster", Tool: "restart_deployment", Effect: spec.EffectWrite,
			Arguments: map[string]any{"namespace": namespace, "name": "checkout"}}, policies)
	}
	change := func(paths ...string) policy.Decision {
		return policy.DecideChange(policy.Change{Agent: "dependency-bumps", Paths: paths}, policies)
	}
	run := func(task string) policy.Decision {
		return policy.DecideRun(policy.Run{Agent: "cost-reporter", Task: task}, policies)
	}
	shop := "manifests/shop/"
	for _, tt := range []struct {
		what string
		is   policy.Decision
		want string
	}{
		{"a restart by who is on call", restart("incident-triage", "shop"), "propose default"},
		{"a restart by the agent of a service", restart("oncall-catalog", "shop"), "propose default"},
		{"a restart by another agent", restart("drift-detector", "shop"), "deny who-restarts"},
		{"a restart in the cluster's own namespace", restart("incident-triage", "kube-system"), "deny shop-only"},
		{"a small change", change(shop + "catalog.yaml"), "propose default"},
		{"a large change", change(shop+"a.yaml", shop+"b.yaml", shop+"c.yaml", shop+"d.yaml"), "deny small-changes"},
		{"a change of who may do what", change("manifests/rbac/bindings.yaml"), "deny access-by-people"},
		{"a change of manifests and documents at once", change(shop+"catalog.yaml", "docs/runbooks/catalog.md"), "deny code-or-prose"},
		{"a task", run("What did it cost?"), "allow default"},
		{"a task with a key in it", run("Use ghp_" + strings.Repeat("x", 36) + " to log in."), "deny no-secrets-in-tasks"},
	} {
		_, rule, named := strings.Cut(tt.is.Rule, "#")
		if !named {
			rule = "default"
		}
		if got := tt.is.Decision + " " + rule; got != tt.want {
			t.Errorf("%s: %s, want %s (%+v)", tt.what, got, tt.want, tt.is)
		}
	}
}
