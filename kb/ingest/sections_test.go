package ingest

import (
	"strings"
	"testing"

	"github.com/mainstay-dev/mainstay/kb"
)

func TestSectionsAreWhatTheyAreSaidToBe(t *testing.T) {
	long := strings.Repeat("It was slow. ", 20)
	d, err := Sections(t.Context(), kb.KindRun, "A run\nwith two lines", []Section{
		{[]string{"Run 1", "Task"}, "Look.\n\n# Outcome\n\napproved by Ada\r\npassword at https://ada:hunter2hunter2@example.com/"},
		{[]string{"Run 1", "Nothing"}, "\n\n"},
		{[]string{"Run 1", "Answer"}, long + "\xff"},
	}, Options{Size: 200})
	if err != nil {
		t.Fatal(err)
	}
	if d.Kind != kb.KindRun || d.Title != "A run with two lines" || len(d.Chunks) != 3 {
		t.Fatalf("%+v", d)
	}
	first := d.Chunks[0]
	if strings.Join(first.Heading, " > ") != "Run 1 > Task" || first.First != 1 || first.Last != 6 || !strings.Contains(first.Text, "# Outcome") {
		t.Errorf("%+v", first)
	}
	if strings.Contains(first.Text, "hunter2") || !strings.Contains(first.Text, leftOut) {
		t.Errorf("a password is in %q", first.Text)
	}
	for _, c := range d.Chunks[1:] {
		if strings.Join(c.Heading, " > ") != "Run 1 > Answer" || c.First != 9 || len([]rune(c.Text)) > 200 {
			t.Errorf("%+v", c)
		}
	}
	if _, err := Sections(t.Context(), kb.KindRun, "", nil, Options{Size: 10}); err == nil {
		t.Error("chunks of ten characters are cut")
	}
	if _, err := Sections(t.Context(), kb.KindRun, "", []Section{{Text: strings.Repeat("x", MaxSource+1)}}, Options{}); err == nil || !strings.Contains(err.Error(), "longer than") {
		t.Errorf("what is too long: %v", err)
	}
}
