package broker_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mainstay-dev/mainstay/reconciler/broker"
	"github.com/mainstay-dev/mainstay/spec"
)

func (w *world) change(title string, files ...string) broker.Reply {
	w.t.Helper()
	return w.tool("repo__propose_change", fmt.Sprintf(`{"title":%q,"body":"Because of %s.","files":[%s]}`, title, token, strings.Join(files, ",")))
}

// knowSecret lets the broker know the secret without a tool server that has it.
func (w *world) knowSecret() {
	w.opts.Redactor = broker.NewRedactor(func() []string { return []string{token} })
	w.broker = broker.New(w.opts)
}

func edit(path, content string) string { return fmt.Sprintf(`{"path":%q,"content":%q}`, path, content) }

func TestAChangeIsProposed(t *testing.T) {
	w := newWorld(t)
	w.knowSecret()
	got := w.change("Use web:2\n\n now", edit("manifests/web.yaml", "image: web:2\n"), `{"path":"docs/a.md","remove":true}`,
		edit("manifests/deep/api.yaml", "image: api:1\n"), edit("manifests/new.yaml", ""))
	want := &spec.Proposal{
		Key: "f9826bc8dd236e0c", Kind: spec.ProposalChange, Agent: "triage", Run: run, Exchange: 7, Base: revision, At: at,
		Title: "Use web:2 now",
		Body: "Because of [redacted].\n\n---\nProposed by agent triage in run 01jd0000000000000000000000, request 7, " +
			"on main@sha1:0123456789012345678901234567890123456789.\n",
		Files: []spec.FileEdit{
			{Path: "docs/a.md", Remove: true},
			{Path: "manifests/new.yaml"},
			{Path: "manifests/web.yaml", Content: "image: web:2\n"},
		},
	}
	if diff := cmp.Diff(want, got.Proposal); diff != "" {
		t.Error(diff)
	}
}

func TestBetterContentForTheSamePathsIsTheSameProposal(t *testing.T) {
	w := newWorld(t)
	a, b := edit("manifests/web.yaml", "image: web:2\n"), edit("docs/a.md", "# B\n")
	first := w.change("One", a, b).Proposal.Key
	w.n = 9
	if again := w.change("Two", b, edit("manifests/web.yaml", "image: web:3\n")).Proposal.Key; again != first {
		t.Errorf("%s, then %s", first, again)
	}
	if other := w.change("One", a).Proposal.Key; other == first {
		t.Error("other paths have the same key")
	}
	w.agent.Name = "patcher"
	if other := w.change("One", a, b).Proposal.Key; other == first {
		t.Error("another agent has the same key")
	}
}

func TestAnAgentThatProposesToChangeAPolicyIsRefused(t *testing.T) {
	w := newWorld(t)
	for _, path := range []string{
		"policies/guard.yaml", "Policies/guard.yaml", "policies/../policies/x.yaml", "./policies/x.yaml", "mainstay.yaml", "mainstay.lock",
		"actions/x.yaml", ".github/workflows/x.yaml", ".git/config", "../x", "/etc/passwd", "policies./x.yaml", "git~1/config", "manifests/GIT~1/config",
		"manifests/.git /config", ".git::$INDEX_ALLOCATION/config", "POLICI~1/x.yaml",
	} {
		w.refused(w.change("Let me", edit("manifests/ok.yaml", "x"), edit(path, "x")), "default: protected paths are denied", path, "is protected", "default: protected paths are denied")
	}
}

func TestAPolicyBeneathTheRootOfTheSpecsIsProtectedToo(t *testing.T) {
	w := newWorld(t)
	w.opts.Root = "clusters/prod"
	w.broker = broker.New(w.opts)
	for _, path := range []string{"clusters/prod/policies/x.yaml", "Clusters/Prod/mainstay.yaml", "clusters/prod/actions/x.yaml"} {
		w.refused(w.change("Let me", edit(path, "x")), "default: protected paths are denied", path)
	}
	if got := w.change("A manifest", edit("clusters/prod/manifests/x.yaml", "x")); got.Proposal == nil {
		t.Errorf("refused: %+v", got.Answer)
	}
}

func TestAChangeIsRefused(t *testing.T) {
	many := make([]string, 51)
	for i := range many {
		many[i] = edit(fmt.Sprintf("manifests/%d.yaml", i), "x")
	}
	third := strings.Repeat("x", 400<<10)
	for _, test := range []struct {
		name  string
		title string
		files []string
		rule  string
		says  string
	}{
		{"without a title", " \n", []string{edit("manifests/a", "x")}, "default: write", "title is empty"},
		{"without files", "x", nil, "default: write", "0 files: propose 1 to 50"},
		{"of too many files", "x", many, "default: write", "51 files"},
		{"that is too long", "x", []string{edit("manifests/a", third), edit("manifests/b", third), edit("manifests/c", third)}, "default: write", "more than 1048576 bytes together"},
		{"outside of the agent's paths", "x", []string{edit("docs/a.md", "x")}, "outside of the agent's proposals.paths", `path "docs/a.md" may not be changed by agent "triage"`},
		{"of one file twice", "x", []string{edit("manifests/a", "x"), edit("manifests/a", "y")}, "default: write", "there twice"},
		{"of a file and of one beneath it", "x", []string{edit("manifests/a", "x"), edit("manifests/a/b/c", "y")}, "default: write", `"manifests/a/b/c" lies beneath it`},
		{"beneath a file that it makes", "x", []string{edit("manifests/a/b", "x"), edit("manifests/a", "y")}, "default: write", `"manifests/a/b" lies beneath it`},
		{"of a name that no disk holds", "x", []string{edit("manifests/"+strings.Repeat("x", 256), "x")}, "default: write", "256 bytes long, at most 255"},
		{"of a path that is too long", "x", []string{edit("manifests"+strings.Repeat("/x", 2500), "x")}, "default: write", "5009 bytes long, at most 1024"},
		{"that neither sets nor removes", "x", []string{`{"path":"manifests/a"}`}, "default: write", "either content or remove"},
		{"that sets and removes", "x", []string{`{"path":"manifests/a","content":"x","remove":true}`}, "default: write", "either content or remove"},
		{"that removes what is not there", "x", []string{`{"path":"manifests/a","remove":true}`}, "default: write", "cannot be removed"},
		{"that changes nothing", "x", []string{edit("manifests/web.yaml", "image: web:1\n")}, "default: write", "changes nothing"},
		{"of a link", "x", []string{edit("manifests/passwd", "x")}, "default: write", "symbolic link"},
		{"beneath a link", "x", []string{edit("manifests/away/key.yaml", "x")}, "default: write", "symbolic link"},
		{"of a folder", "x", []string{edit("manifests/deep", "x")}, "default: write", "is not a file"},
		{"beneath a file", "x", []string{edit("manifests/web.yaml/x", "x")}, "default: write", "is not a folder"},
		{"that is not text", "x", []string{`{"path":"manifests/a","content":"\u0000"}`}, "default: write", "is not text"},
		{"that writes a secret down", "x", []string{edit("manifests/a", "t: "+token)}, "default: write", "holds a secret"},
		{"that overwrites what was hidden", "x", []string{edit("manifests/key.yaml", "token: [redacted]\nmore: 1\n")}, "default: write", "overwrite what was hidden"},
		{"that a policy denies", "x", []string{edit("manifests/web.yaml", "x"), edit("manifests/frozen.yaml", "x")}, "policies/guard.yaml#frozen", "change of manifests/frozen.yaml, manifests/web.yaml is denied by policies/guard.yaml#frozen: Not now."},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t)
			w.knowSecret()
			w.agent.ProposePaths = []string{"manifests/**"}
			w.rule("frozen", spec.OnChange, `change.paths.exists(p, p.contains("frozen"))`, spec.DecisionDeny, "Not now.")
			w.refused(w.change(test.title, test.files...), test.rule, test.says)
		})
	}
}

func TestAProposalIsTheSameOnEveryTry(t *testing.T) {
	w := newWorld(t)
	first, second := w.change("One", edit("manifests/web.yaml", "x")), w.change("One", edit("manifests/web.yaml", "x"))
	a, errA := json.Marshal(first.Proposal)
	b, errB := json.Marshal(second.Proposal)
	if errA != nil || errB != nil || string(a) != string(b) {
		t.Errorf("%s\n%s", a, b)
	}
}
