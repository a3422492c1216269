package host_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mainstay-dev/mainstay/reconciler/host"
	"github.com/mainstay-dev/mainstay/spec"
)

// writeFile writes an executable file and returns its path, which has no symbolic links.
func writeFile(t *testing.T, name, content string) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(content), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// A script is run by the interpreter that its first line names, and by nothing else.
func TestAScriptIsRunByItsInterpreter(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	plain := writeFile(t, "plain", "no program")
	if err := os.Chmod(plain, 0o644); err != nil {
		t.Fatal(err)
	}
	inner := writeFile(t, "inner", "#!"+self+" honest\n")
	for _, tt := range []struct{ name, content, refused string }{
		{"a path", "#!" + self + "\n", ""},
		{"a path and an argument", "#! " + self + " honest\nwhatever", ""},
		{"a line that Windows ended", "#!" + self + " honest\r\n", ""},
		{"a name", "#!/usr/bin/env node\n", ""},
		{"no interpreter", "#!\n", "names no interpreter"},
		{"a name that is not there", "#!/usr/bin/env deno\n", `is run by "deno", which is not found in the PATH of mainstay`},
		{"a name and more", "#!/usr/bin/env node --inspect\n", "after /usr/bin/env comes the name of a program and nothing else"},
		{"an option of env", "#!/usr/bin/env -S\n", "after /usr/bin/env comes the name of a program and nothing else"},
		{"env alone", "#!/usr/bin/env", "after /usr/bin/env comes the name of a program and nothing else"},
		{"a relative path", "#!bin/node\n", `is run by "bin/node": an absolute path is needed`},
		{"a control character", "#!bin/\x1b[2J\n", `is run by "bin/\x1b[2J"`},
		{"a path that is not there", "#!/nowhere/node\n", "no such file"},
		{"a file that is no program", "#!" + plain + "\n", "which is not an executable"},
		{"a folder", "#!/usr\n", "which is not an executable"},
		{"a script", "#!" + inner + "\n", "which is a script itself"},
		{"an endless line", "#!" + strings.Repeat("/x", 200), "is longer than 256 bytes"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := writeFile(t, "runtime", tt.content)
			h := newHost(t, func(o *host.Options) {
				o.Runtimes = func(string) (host.Runtime, error) { return host.Runtime{Path: path, Args: []string{"honest"}}, nil }
				o.LookPath = func(name string) (string, error) {
					if name == "node" {
						return self, nil
					}
					return "", errors.New("not found")
				}
			})
			err := h.Check(t.Context(), host.Agent{Name: "a", Runtime: spec.DefaultRuntime})
			if tt.refused == "" && err != nil || tt.refused != "" && (err == nil || !strings.Contains(err.Error(), tt.refused)) {
				t.Errorf("%v, want %q", err, tt.refused)
			}
		})
	}
}

// A runtime that is named by its path needs a pin, which is that of the script and not of its interpreter.
func TestARuntimeThatIsAPathNeedsAPin(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	path := writeFile(t, "triage", "#!"+self+" honest\n")
	h := newHost(t, func(o *host.Options) {
		o.Runtimes = func(name string) (host.Runtime, error) { return host.Runtime{Path: name}, nil }
	})
	refused := func(want string) {
		t.Helper()
		err := h.Start(host.Agent{Name: "a", Runtime: path})
		if _, ok := errors.AsType[*spec.LockMismatch](err); !ok || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	refused("is refused until you run `mainstay lock` and commit the result: " + host.Platform + ": not pinned")
	lock := spec.NewLock(spec.LockFile)
	h.Accept(lock)
	refused(host.Platform + ": not pinned")
	digest, err := host.Checksum(path)
	if err != nil {
		t.Fatal(err)
	}
	lock.Runtimes[path] = spec.RuntimePin{host.Platform: digest}
	if err := h.Start(host.Agent{Name: "a", Runtime: path}); err != nil {
		t.Fatal(err)
	}
	if err := h.Stop(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("#!"+self+" honest \n"), 0o755); err != nil {
		t.Fatal(err)
	}
	refused("[-" + string(digest) + "-]")
}
