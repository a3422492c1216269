package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mainstay-dev/mainstay/spec"
	"github.com/mainstay-dev/mainstay/spec/format"
)

// What build writes is valid, and every resource in it has the digest that it has in the files it was built from.
func TestBuildThenValidateIsTheSame(t *testing.T) {
	locked := t.TempDir()
	if err := os.CopyFS(locked, os.DirFS("../../spec/testdata/complete")); err != nil {
		t.Fatal(err)
	}
	lock := spec.NewLock(spec.LockFile)
	for _, a := range loaded(t, locked, "").Agents {
		if a.Runtime != spec.DefaultRuntime {
			lock.Runtimes[a.Runtime] = spec.RuntimePin{"linux/amd64": a.Digest}
		}
	}
	for _, m := range loaded(t, locked, "").Models {
		if m.Pinned() {
			lock.Models[m.Name] = spec.ModelPin{Digest: m.Digest}
		}
	}
	for _, s := range loaded(t, locked, "").Servers {
		pins := map[string]spec.ToolPin{}
		for _, name := range s.Pinned() {
			pins[name] = spec.ToolPin{Description: "One line.\n  Another\u200b.", InputSchema: `{"type":"object"}`}
		}
		lock.Servers[s.Name] = spec.ServerPin{Tools: pins}
	}
	if err := os.WriteFile(filepath.Join(locked, spec.LockFile), lock.Format(), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ dir, env string }{
		{locked, ""}, {locked, "prod"},
		{"../../spec/testdata/complete", ""}, {"../../spec/testdata/complete", "dev"}, {"../../spec/testdata/complete", "prod"},
		{"../../examples/quickstart", ""},
		{"../../examples/platform-team", ""}, {"../../examples/platform-team", "dev"}, {"../../examples/platform-team", "prod"},
		{"../../examples/platform-team", "rehearsal"},
	} {
		t.Run(filepath.Base(tt.dir)+"/"+tt.env, func(t *testing.T) {
			before := loaded(t, tt.dir, tt.env)
			docs, err := builtDocuments(before, nil)
			if err != nil {
				t.Fatal(err)
			}
			out := t.TempDir()
			if err := writeBuilt(t.Context(), before, os.DirFS(tt.dir), docs, out); err != nil {
				t.Fatal(err)
			}
			after := loaded(t, out, "")
			digests := func(f *spec.Fleet) map[string]spec.Digest {
				all := map[string]spec.Digest{"all": f.Digest}
				for _, r := range f.Resources {
					all[r.Ref.String()] = r.Digest
				}
				return all
			}
			if diff := cmp.Diff(digests(before), digests(after)); diff != "" {
				t.Error(diff)
			}
			if files, err := format.Files(os.DirFS(out)); err != nil {
				t.Error(err)
			} else {
				for _, name := range files {
					content, err := os.ReadFile(filepath.Join(out, name))
					if err != nil {
						t.Fatal(err)
					}
					formatted, problems, err := new(format.Formatter).File(t.Context(), name, content)
					if err != nil || problems != nil || string(formatted) != string(content) {
						t.Errorf("%s is not as fmt has it: %v%s", name, err, problems)
					}
				}
			}
		})
	}
}

func loaded(t *testing.T, dir, env string) *spec.Fleet {
	t.Helper()
	fleet, problems, err := loadDir(t.Context(), dir, spec.LoadOptions{Env: env})
	if err != nil || len(problems) > 0 {
		t.Fatal(err, problems)
	}
	return fleet
}
