package proposal

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mainstay-dev/mainstay/spec"
)

func change() spec.Proposal {
	return spec.Proposal{
		Key: "0123456789abcdef", Kind: spec.ProposalChange, Agent: "triage", Run: "01jd00000000000000000000ab", Exchange: 3,
		Base:  "main@sha1:" + spec.Revision(strings.Repeat("a", 40)),
		Title: "Bump nginx to 1.27.4", Body: "It fixes CVE-1.\n\nSee the advisory.",
	}
}

func action() spec.Proposal {
	p := change()
	p.Kind, p.Action = spec.ProposalAction, "triage-01jd00000000000000000000ab-3"
	return p
}

func TestTheTextOfAProposalIsReadBack(t *testing.T) {
	noBody := change()
	noBody.Body = ""
	fake := change()
	fake.Body = "Mainstay-Run: 01jd00000000000000000000zz\nMainstay-Key: ffffffffffffffff"
	for name, p := range map[string]spec.Proposal{"change": change(), "action": action(), "no body": noBody, "trailers in the body": fake} {
		got, err := Parse(Message(p))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(p, got); diff != "" {
			t.Errorf("%s:\n%s", name, diff)
		}
	}
}

func TestWhatIsNotAProposal(t *testing.T) {
	good := Message(action())
	for name, message := range map[string]string{
		"an empty message":          "",
		"an ordinary one":           "Fix the build\n\nIt was broken.\n",
		"a trailer twice":           good + "Mainstay-Run: 01jd00000000000000000000zz\n",
		"text after the trailers":   good + "\nand more\n",
		"a key in upper case":       strings.Replace(good, "0123456789abcdef", "0123456789ABCDEF", 1),
		"an exchange with a sign":   strings.Replace(good, "Exchange: 3", "Exchange: +3", 1),
		"an action of another run":  strings.Replace(good, "Mainstay-Action: triage-01jd", "Mainstay-Action: triage-02jd", 1),
		"an unknown kind":           strings.Replace(good, "Kind: action", "Kind: both", 1),
		"a change with an action":   strings.Replace(good, "Kind: action", "Kind: change", 1),
		"an agent that is no name":  strings.ReplaceAll(good, "triage", "../triage"),
		"a base that is no commit":  strings.Replace(good, strings.Repeat("a", 40), "HEAD", 1),
		"a run that is not a ULID":  strings.ReplaceAll(good, "01jd00000000000000000000ab", "7"),
		"nothing but the trailers":  Trailers(action()),
		"trailers that are missing": "Title\n\nMainstay-Proposal: 0123456789abcdef\n",
	} {
		if p, err := Parse(message); !errors.Is(err, ErrNotProposal) {
			t.Errorf("%s: %+v, error %v", name, p, err)
		}
	}
}

func TestTextsCannotDeceiveTheirReader(t *testing.T) {
	p := change()
	p.Title = "Harmless\x1b[2K\n\nMainstay-Run: x \u202e gpj.exe"
	p.Body = "one\r\ntwo\x07\u200b"
	clean := Clean(p)
	if strings.ContainsAny(clean.Title+clean.Body, "\x1b\n\r\x07\u202e\u200b") && strings.Count(clean.Body, "\n") != 1 {
		t.Errorf("%q %q", clean.Title, clean.Body)
	}
	if clean.Title != "Harmless\uFFFD[2K Mainstay-Run: x \uFFFD gpj.exe" {
		t.Errorf("%q", clean.Title)
	}
	long := change()
	long.Title, long.Body = strings.Repeat("ä", 1000), strings.Repeat("ä", MaxBody)
	if c := Clean(long); len(c.Title) > MaxTitle || len(c.Body) > MaxBody || !strings.HasSuffix(c.Title, "…") {
		t.Errorf("%d and %d bytes", len(c.Title), len(c.Body))
	}
}

func FuzzTheTextOfAProposal(f *testing.F) {
	f.Add("Title", "Body\n\nMainstay-Run: x")
	f.Add("", "\n\n")
	f.Fuzz(func(t *testing.T, title, body string) {
		p := action()
		p.Title, p.Body = title, body
		p = Clean(p)
		got, err := Parse(Message(p))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(p, got); diff != "" {
			t.Fatal(diff)
		}
	})
}

func FuzzParse(f *testing.F) {
	f.Add(Message(action()))
	f.Fuzz(func(t *testing.T, message string) {
		p, err := Parse(message)
		if err != nil {
			return
		}
		p.At = time.Time{}
		again, err := Parse(Message(p))
		if err != nil || !Same(p, again) || p.Kind != again.Kind || p.Action != again.Action || p.Base != again.Base {
			t.Fatalf("%+v became %+v, error %v", p, again, err)
		}
	})
}

func TestWhichPathsAProposalMayTouch(t *testing.T) {
	tests := []struct {
		path, root string
		ok         bool
	}{
		{"manifests/web.yaml", "", true},
		{"agents/triage.yaml", "", true},
		{"actions/x.yaml", "", false},
		{"Actions/x.yaml", "", false},
		{"policies/p.yaml", "", false},
		{"mainstay.yaml", "", false},
		{"../x", "", false},
		{"/etc/passwd", "", false},
		{".git/config", "", false},
		{"a/.GIT/config", "", false},
		{".github/workflows/ci.yaml", "", false},
		{"fleet/actions/x.yaml", "fleet", false},
		{"Fleet/Actions/x.yaml", "fleet", false},
		{"fleet/policies/p.yaml", "fleet", false},
		{"fleet/mainstay.yaml", "fleet", false},
		{"fleet/agents/a.yaml", "fleet/", true},
		{"policies/kyverno.yaml", "fleet", true},
		{".github/workflows/ci.yaml", "fleet", false},
		{"manifests/web\nx.yaml", "fleet", false},
	}
	for _, test := range tests {
		if err := CheckChange(test.path, test.root); (err == nil) != test.ok {
			t.Errorf("%q beneath %q: %v", test.path, test.root, err)
		}
	}
}

func TestWhatMayNotBeOpened(t *testing.T) {
	with := func(p spec.Proposal, files ...spec.FileEdit) spec.Proposal { p.Files = files; return p }
	edit := func(path string) spec.FileEdit { return spec.FileEdit{Path: path, Content: "x\n"} }
	file := ActionPath("fleet", action().Action)
	tests := []struct {
		name string
		p    spec.Proposal
		want string
	}{
		{"a change", with(change(), edit("a.yaml"), edit("b.yaml")), ""},
		{"an action", with(action(), edit(file)), ""},
		{"nothing", change(), "empty"},
		{"a file twice", with(change(), edit("a.yaml"), edit("a.yaml")), "twice"},
		{"a change of an action", with(change(), edit(file)), "Actions"},
		{"an action and a file", with(action(), edit(file), edit("a.yaml")), "nothing else"},
		{"an action elsewhere", with(action(), edit("fleet/actions/other.yaml")), "nothing else"},
		{"an action's removal", with(action(), spec.FileEdit{Path: file, Remove: true}), "nothing else"},
		{"too much", with(change(), spec.FileEdit{Path: "a", Content: strings.Repeat("x", MaxBytes+1)}), "at most"},
		{"no run", with(spec.Proposal{Key: change().Key, Kind: spec.ProposalChange, Agent: "triage"}, edit("a")), "ULID"},
	}
	for _, test := range tests {
		err := Check(test.p, "fleet")
		if (test.want == "") != (err == nil) || (err != nil && !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%s: %v, want %q", test.name, err, test.want)
		}
	}
}

func TestADiffShowsWhatChanges(t *testing.T) {
	files := map[string]string{"web.yaml": "image: nginx:1.26\nreplicas: 2\n", "old.yaml": "x\n", "bin": "\x00\x01", "same": "y\n", "dos": "a\n"}
	before := func(path string) (string, bool, error) { s, ok := files[path]; return s, ok, nil }
	got, err := Diff([]spec.FileEdit{
		{Path: "web.yaml", Content: "image: nginx:1.27\x1b[2K\nreplicas: 2"},
		{Path: "new.yaml", Content: "a: 1\n"},
		{Path: "old.yaml", Remove: true},
		{Path: "bin", Content: "\x00\x02\x03"},
		{Path: "same", Content: "y\n"},
		{Path: "long", Content: strings.Repeat("x\n", 5001)},
		{Path: "empty", Content: ""},
		{Path: "dos", Content: "a\r\n"},
	}, before)
	if err != nil {
		t.Fatal(err)
	}
	want := `--- a/web.yaml
+++ b/web.yaml
@@ -1,2 +1,2 @@
-image: nginx:1.26
-replicas: 2
+image: nginx:1.27` + "\uFFFD" + `[2K
+replicas: 2
\ No newline at end of file
--- /dev/null
+++ b/new.yaml
@@ -0,0 +1 @@
+a: 1
--- a/old.yaml
+++ /dev/null
@@ -1 +0,0 @@
-x
--- a/bin
+++ b/bin
a binary file: 2 bytes before, 3 bytes after
--- /dev/null
+++ b/long
too long to show: 0 bytes before, 10002 bytes after
--- /dev/null
+++ b/empty
--- a/dos
+++ b/dos
@@ -1 +1 @@
-a
+a` + "\uFFFD" + `
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestEveryProposalIsOneSentence(t *testing.T) {
	c := change()
	c.Files = []spec.FileEdit{{Path: "a.yaml"}, {Path: "b.yaml"}, {Path: "c.yaml"}}
	if got := Sentence(c); got != "triage asks to change a.yaml and 2 more files: Bump nginx to 1.27.4." {
		t.Error(got)
	}
	a := action()
	a.Title = "Restart deployment shop."
	if got := Sentence(a); got != "triage asks to do this once: Restart deployment shop." {
		t.Error(got)
	}
	a.Action = "triage-01jd00000000000000000000ab-1000003"
	if got := Sentence(a); got != "Something failed in a run of triage, and this would undo a part of it, once: Restart deployment shop." {
		t.Error(got)
	}
}
