package broker_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

func TestFilesAreListed(t *testing.T) {
	w := newWorld(t)
	for _, test := range []struct{ name, arguments, want string }{
		{"all that may be read, and no links", `{}`, `{"files":[{"path":"docs/a.md"},{"path":"manifests/deep/api.yaml"},{"path":"manifests/huge.yaml"},` +
			`{"path":"manifests/key.yaml"},{"path":"manifests/logo.png"},{"path":"manifests/web.yaml"}],"more":false}`},
		{"as the glob says", `{"glob":"manifests/**/a*.yaml"}`, `{"files":[{"path":"manifests/deep/api.yaml"}],"more":false}`},
		{"with alternatives", `{"glob":"{docs,manifests}/{a,w}*.{md,yaml}"}`, `{"files":[{"path":"docs/a.md"},{"path":"manifests/web.yaml"}],"more":false}`},
		{"but not outside of what may be read", `{"glob":"secrets/**"}`, `{"files":[],"more":false}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			w.t = t
			if diff := cmp.Diff(test.want, string(w.result(w.tool("repo__list", test.arguments)).Structured)); diff != "" {
				t.Error(diff)
			}
		})
	}
	w.t = t
	for _, glob := range []string{"[", "/etc/*", "../**", "a/../../b"} {
		w.refused(w.tool("repo__list", fmt.Sprintf(`{"glob":%q}`, glob)), "default: read", "is not a glob")
	}
	w.refused(w.tool("repo__list", `{"glob":"`+strings.Repeat("{*,*}", 40)+`"}`), "default: read", "too many alternatives")
}

func TestALongListingSaysThatThereIsMore(t *testing.T) {
	w := newWorld(t)
	files := fstest.MapFS{}
	for i := range 1001 {
		files[fmt.Sprintf("manifests/%04d.yaml", i)] = &fstest.MapFile{}
	}
	w.files = files
	got := string(w.result(w.tool("repo__list", `{}`)).Structured)
	if strings.Count(got, `"path"`) != 1000 || !strings.HasSuffix(got, `"more":true}`) {
		t.Errorf("got %d paths ending in %s", strings.Count(got, `"path"`), got[len(got)-60:])
	}
}

func TestAFileIsRead(t *testing.T) {
	w := newWorld(t)
	if got := string(w.result(w.tool("repo__read", `{"path":"manifests/web.yaml"}`)).Structured); got != `{"path":"manifests/web.yaml","text":"image: web:1\n"}` {
		t.Error(got)
	}
	for _, test := range []struct{ name, path, says string }{
		{"outside of what may be read", "secrets/key.yaml", `agent "triage" may not read "secrets/key.yaml": its spec lets it read manifests/**, docs/*.md`},
		{"too deep for its glob", "docs/deep/hidden-from.md", "may not read"},
		{"above the repository", "../secrets/key.yaml", "not a path inside the repository"},
		{"above the repository, by a detour", "manifests/../../etc/passwd", "not a path inside the repository"},
		{"from the machine", "/etc/passwd", "not a path inside the repository"},
		{"with a backslash", `manifests\\web.yaml`, "not a path inside the repository"},
		{"in Git's own folder", "manifests/.GIT/config", ".git is not part of it"},
		{"that is a link", "manifests/passwd", "symbolic link"},
		{"beneath a link", "manifests/away/key.yaml", `"manifests/away" is a symbolic link`},
		{"that is a folder", "manifests/deep", "is not a file"},
		{"beneath a file", "manifests/web.yaml/x", "is not a folder"},
		{"that is not there", "manifests/none.yaml", "there is no file"},
		{"that is not text", "manifests/logo.png", "not a text file"},
		{"that is too long", "manifests/huge.yaml", "at most 524288"},
		{"without a name", "", "not a path inside the repository"},
	} {
		t.Run("but none "+test.name, func(t *testing.T) {
			w.t = t
			w.refused(w.tool("repo__read", `{"path":"`+test.path+`"}`), "default: read", test.says)
		})
	}
}

func TestALinkInAFolderOnDiskLeadsNowhere(t *testing.T) {
	outside, root := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(outside, "key.yaml"), []byte("key"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(root, "manifests"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, filepath.Join(root, "manifests", "out")); err != nil {
		t.Skip("no symbolic links here:", err)
	}
	w := newWorld(t)
	w.files = os.DirFS(root)
	w.refused(w.tool("repo__read", `{"path":"manifests/out/key.yaml"}`), "default: read", `"manifests/out" is a symbolic link`)
	if got := string(w.result(w.tool("repo__list", `{}`)).Structured); got != `{"files":[],"more":false}` {
		t.Error(got)
	}
}

func TestASkillIsRead(t *testing.T) {
	w := newWorld(t)
	if got := w.result(w.tool("skills__read", `{"name":"bumps"}`)); got.Text != "How to bump." {
		t.Errorf("got %+v", got)
	}
	w.refused(w.tool("skills__read", `{"name":"bumps","path":"../x"}`), "default: read", `no file "../x"`)
	w.refused(w.tool("skills__read", `{"name":"bumps","path":"logo.png"}`), "default: read", "not a text file")
	w.refused(w.tool("skills__read", `{"name":"dumps"}`), "default: read", `no skill "dumps": it has bumps`)
}
