package cluster

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestRestartKeepsTheNewestJournalEntries(t *testing.T) {
	file := filepath.Join(t.TempDir(), "cluster.json")
	noonInBerlin := time.Date(2026, time.March, 1, 12, 0, 0, 0, time.FixedZone("CET", 3600))
	c := Open(file, func() time.Time { return noonInBerlin })
	if err := c.locked(func(s *State) (bool, error) {
		s.Journal = make([]Change, MaxJournal)
		return true, nil
	}); err != nil {
		t.Fatal(err)
	}
	d, err := c.Restart(Workload{"shop", "catalog"}, "last")
	if err != nil || d.RestartedAt != "2026-03-01T11:00:00Z" {
		t.Fatalf("restarted at %q, error %v", d.RestartedAt, err)
	}
	journal := readState(t, file).Journal
	if len(journal) != MaxJournal || journal[MaxJournal-1].Key != "last" {
		t.Errorf("%d entries, the last one %+v", len(journal), journal[len(journal)-1])
	}
}

func TestADamagedStateFileIsReportedAndKept(t *testing.T) {
	for name, content := range map[string]string{
		"cut off":   `{"deployments": [`,
		"empty":     "",
		"too large": strings.Repeat(" ", MaxFile+1),
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "cluster.json")
			if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := Open(file, time.Now).Restart(Workload{"shop", "frontend"}, ""); err == nil {
				t.Error("a restart succeeded")
			}
			if after, err := os.ReadFile(file); err != nil || string(after) != content {
				t.Errorf("the file was changed (error %v)", err)
			}
		})
	}
}

func TestCutTag(t *testing.T) {
	for image, want := range map[string][2]string{
		"registry.example.com/shop/checkout:1.4.2": {"registry.example.com/shop/checkout", "1.4.2"},
		"localhost:5000/checkout":                  {"localhost:5000/checkout", "latest"},
		"localhost:5000/checkout:1":                {"localhost:5000/checkout", "1"},
		"":                                         {"", "latest"},
	} {
		repository, tag := cutTag(image)
		if got := [2]string{repository, tag}; got != want {
			t.Errorf("%q is cut into %q, want %q", image, got, want)
		}
	}
}
