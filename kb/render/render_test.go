package render

import (
	"context"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/rogpeppe/go-internal/txtar"
)

// childArg makes the test binary be the child.
const childArg = "__render"

func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == childArg {
		if err := Serve(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

var update = flag.Bool("update", false, "write what becomes of the charts and kustomizations in testdata")

func session(t testing.TB, timeout time.Duration) *Session {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	s := Child{Command: []string{self, childArg}, Timeout: timeout}.Open()
	t.Cleanup(s.Close)
	return s
}

func all(string) bool { return true }

// files is a tree of the files of an archive.
func files(archive string) fstest.MapFS {
	is := fstest.MapFS{}
	for _, f := range txtar.Parse([]byte(archive)).Files {
		is[f.Name] = &fstest.MapFile{Data: f.Data}
	}
	return is
}

func unitsOf(t testing.TB, of Tree, readable func(string) bool) []Unit {
	t.Helper()
	units, err := NewFinder().Units(t.Context(), of, all, readable)
	if err != nil {
		t.Fatal(err)
	}
	return units
}

// renderAll renders all units of a tree, and returns for people what becomes of them.
func renderAll(t testing.TB, of Tree, s *Session) string {
	t.Helper()
	var b strings.Builder
	for _, u := range unitsOf(t, of, all) {
		files, err := u.Files(of)
		if err != nil {
			t.Fatal(err)
		}
		out, err := s.Render(t.Context(), &u, files)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "# %s shapes %s\n", u.Head, strings.Join(u.Shapes, " "))
		for _, p := range append(out.Problems, out.Lacks...) {
			fmt.Fprintf(&b, "! %s\n", p)
		}
		for _, name := range slices.Sorted(maps.Keys(out.Objects)) {
			for _, o := range out.Objects[name] {
				fmt.Fprintf(&b, "\n## %s:%d-%d %s\n", name, o.First, o.Last, o.From)
				for i, line := range linesOf([]byte(o.Text)) {
					from := ""
					if i < len(o.Lines) && o.Lines[i] > 0 {
						from = fmt.Sprint(o.Lines[i])
					}
					fmt.Fprintf(&b, "%4s | %s\n", from, line)
				}
			}
		}
		b.WriteString("\n")
	}
	return b.String()
}

// Each archive in testdata is a repository, and NAME.golden shows what becomes of it.
func TestGolden(t *testing.T) {
	archives, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(archives) == 0 {
		t.Fatal("there are no archives", err)
	}
	s := session(t, time.Minute)
	for _, name := range archives {
		t.Run(filepath.Base(name), func(t *testing.T) {
			content, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			got := renderAll(t, files(string(content)), s)
			golden := strings.TrimSuffix(name, ".txtar") + ".golden"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("it became:\n%s\nand %s says:\n%s\n(go test ./kb/render -run Golden -update writes it)", got, golden, want)
			}
		})
	}
}

// What differs in a commit and nothing else is rendered again: the digest of a unit is another one where a file is that it may read, or
// where it may read another one.
func TestADigestIsThatOfWhatAUnitReads(t *testing.T) {
	content, err := os.ReadFile("testdata/shop.txtar")
	if err != nil {
		t.Fatal(err)
	}
	digests := func(of Tree) map[string]string {
		d := map[string]string{}
		for _, u := range unitsOf(t, of, all) {
			d[u.Head] = u.Digest
		}
		return d
	}
	base := digests(files(string(content)))
	for _, c := range []struct{ change, want string }{
		{"charts/shop/values.yaml", "charts/shop/Chart.yaml"},
		{"charts/shop/templates/_helpers.tpl", "charts/shop/Chart.yaml"},
		{"charts/shop/charts/cache/templates/cache.yaml", "charts/shop/Chart.yaml"},
		{"lib/naming/templates/_name.tpl", "charts/shop/Chart.yaml"},
		{"apps/base/deployment.yaml", "apps/production/kustomization.yaml apps/staging/kustomization.yaml"},
		{"apps/production/patch.yaml", "apps/production/kustomization.yaml"},
		{"apps/production/settings.conf", "apps/production/kustomization.yaml"},
		{"README.md", ""},
	} {
		now := files(string(content))
		before := []byte("")
		if f := now[c.change]; f != nil {
			before = f.Data
		}
		now[c.change] = &fstest.MapFile{Data: append(slices.Clone(before), "# changed\n"...)}
		var differ []string
		for head, d := range digests(now) {
			if base[head] != d {
				differ = append(differ, head)
			}
		}
		slices.Sort(differ)
		if got := strings.Join(differ, " "); got != c.want {
			t.Errorf("a change of %s is one of %q, and not of %q", c.change, got, c.want)
		}
	}
}

// counted is a tree that counts what is listed, with ids of folders as Git has them.
type counted struct {
	fstest.MapFS
	lists int
}

type withID struct {
	fs.DirEntry
	id string
}

func (e withID) ID() string { return e.id }

func (c *counted) ReadDir(name string) ([]fs.DirEntry, error) {
	c.lists++
	entries, err := c.MapFS.ReadDir(name)
	for i, e := range entries {
		id := ""
		at := strings.TrimPrefix(name+"/"+e.Name(), "./")
		for _, f := range slices.Sorted(maps.Keys(c.MapFS)) {
			if f == at || strings.HasPrefix(f, at+"/") {
				id += f + string(c.MapFS[f].Data)
			}
		}
		entries[i] = withID{e, id}
	}
	return entries, err
}

func TestFoldersThatAreTheSameAreNotLookedAtAgain(t *testing.T) {
	is := fstest.MapFS{}
	for i := range 100 {
		is[fmt.Sprintf("docs/%02d/%02d/a.md", i/10, i%10)] = &fstest.MapFile{Data: []byte("a")}
	}
	is["x/kustomization.yaml"] = &fstest.MapFile{Data: []byte("resources: []\n")}
	f := NewFinder()
	look := func() int {
		c := &counted{MapFS: is}
		units, err := f.Units(t.Context(), c, all, all)
		if err != nil || len(units) != 1 {
			t.Fatalf("got %v, %v", units, err)
		}
		return c.lists
	}
	first := look()
	is["docs/03/04/a.md"] = &fstest.MapFile{Data: []byte("b")}
	if again := look(); first < 100 || again > 10 {
		t.Errorf("%d folders are listed, and %d after a change of one file", first, again)
	}
}

// Git has names that the file systems of kustomize refuse.
func TestNamesMayBeAnything(t *testing.T) {
	got := renderAll(t, files(`-- base+more/kustomization.yaml --
resources: ["the cart (new).yaml"]
configMapGenerator: [{name: dashboards, files: ["größe @ 1.json"]}]
-- base+more/the cart (new).yaml --
apiVersion: v1
kind: Service
metadata: {name: cart}
-- base+more/größe @ 1.json --
{}
-- over~lay/kustomization.yaml --
resources: [../base+more]
namePrefix: new-
`), session(t, time.Minute))
	for _, want := range []string{"name: new-cart", "name: new-dashboards", "größe @ 1.json: |", "kustomize build over~lay, of base+more/the cart (new).yaml"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is missing", want)
		}
	}
	if strings.Contains(got, "\n! ") {
		t.Error("something is wrong with it")
	}
	if t.Failed() {
		t.Log(got)
	}
}

func TestAProgramThatIsMissingIsTold(t *testing.T) {
	u := unitsOf(t, files("-- a/Chart.yaml --\nname: a\n"), all)[0]
	s := Child{Command: []string{"/does/not/exist"}}.Open()
	defer s.Close()
	if _, err := s.Render(t.Context(), &u, map[string][]byte{}); err == nil || !strings.Contains(err.Error(), "start the process that renders charts") {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := session(t, time.Minute).Render(ctx, &u, map[string][]byte{}); err != context.Canceled {
		t.Errorf("got %v", err)
	}
}

func TestAUnitThatReadsTooMuchIsTold(t *testing.T) {
	is := files("-- a/Chart.yaml --\napiVersion: v2\nname: a\nversion: 1.0.0\n")
	is["a/large"] = &fstest.MapFile{Data: make([]byte, maxBytes)}
	if got := renderAll(t, is, session(t, time.Minute)); !strings.Contains(got, "! it is not rendered, since it reads more than 32 MiB") {
		t.Errorf("it becomes\n%s", got)
	}
	delete(is, "a/large")
	for i := range maxFiles {
		is[fmt.Sprintf("a/files/%d", i)] = &fstest.MapFile{}
	}
	if got := renderAll(t, is, session(t, time.Minute)); !strings.Contains(got, "! it is not rendered, since it reads more than 5000 files") {
		t.Errorf("it becomes\n%s", got)
	}
}
