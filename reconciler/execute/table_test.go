package execute_test

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/mainstay-dev/mainstay/reconciler/execute"
)

var update = flag.Bool("update", false, "write what was observed to README.md")

// table is a table of README.md, between two markers. It is what was observed: `go test
// ./reconciler/execute -run TestEvery -update`.
type table struct {
	name, head string
	mu         sync.Mutex
	rows       map[int]string
}

func newTable(name string, columns ...string) *table {
	rule := strings.Repeat("|---", len(columns)) + "|"
	return &table{name: name, rows: map[int]string{}, head: "| " + strings.Join(columns, " | ") + " |\n" + rule + "\n"}
}

// changing are the parts of a message that are others each time, or the same in many rows.
var changing = regexp.MustCompile(`[0-9a-f]{40}|\bcommit [0-9a-f]{7}\b|SHA256:[A-Za-z0-9+/]+| by Someone <someone@example.com>|` +
	regexp.QuoteMeta("read the ledger: "+execute.ErrLedgerForeign.Error()+": "))

// add adds the row of a case.
func (t *table) add(n int, columns ...string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i, c := range columns {
		c = changing.ReplaceAllStringFunc(c, func(s string) string {
			switch {
			case strings.HasPrefix(s, "commit"):
				return "commit …"
			case strings.HasPrefix(s, "read"):
				return "the ledger holds an entry that does not count: "
			case strings.HasPrefix(s, " by"):
				return ""
			}
			return "…"
		})
		columns[i] = strings.NewReplacer("|", "\\|", "\n", " ").Replace(c)
	}
	t.rows[n] = "| " + strings.Join(columns, " | ") + " |"
}

// check compares what was observed with README.md. Where only some tests were run, those rows are looked for.
func (t *table) check(test *testing.T) {
	test.Helper()
	const file = "README.md"
	b, err := os.ReadFile(file)
	if err != nil {
		test.Fatal(err)
	}
	begin, end := fmt.Sprintf("<!-- %s: what was observed -->\n", t.name), fmt.Sprintf("<!-- end of %s -->\n", t.name)
	before, rest, ok := strings.Cut(string(b), begin)
	was, after, ended := strings.Cut(rest, end)
	if !ok || !ended {
		test.Fatalf("%s has no %q and %q", file, begin, end)
	}
	var rows strings.Builder
	for _, n := range slices.Sorted(maps.Keys(t.rows)) {
		rows.WriteString(t.rows[n] + "\n")
	}
	if *update {
		now := before + begin + t.head + rows.String() + end + after
		if err := os.WriteFile(file, []byte(now), 0o644); err != nil {
			test.Fatal(err)
		}
		return
	}
	for _, row := range t.rows {
		if !strings.Contains(was, row+"\n") {
			test.Errorf("%s does not say\n%s\nRun go test ./reconciler/execute -update, and read what changes.", file, row)
		}
	}
	if !filtered() && was != t.head+rows.String() && !test.Failed() {
		test.Errorf("the rows of %s are others, or in another order: run go test ./reconciler/execute -update", file)
	}
}

// filtered reports whether only some of the cases are run.
func filtered() bool {
	for _, name := range []string{"test.run", "test.skip"} {
		if f := flag.Lookup(name); f != nil && f.Value.String() != "" {
			return true
		}
	}
	return false
}
