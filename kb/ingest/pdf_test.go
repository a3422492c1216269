package ingest

import (
	"context"
	"errors"
	"strings"
	"testing"
)

func TestPDF(t *testing.T) {
	o := Options{Size: 100, PDF: func(context.Context, []byte) (string, [][]string, error) {
		return "Handbook", [][]string{{"On call", "means to answer within five minutes, by day and by night.", "", "It is"}, nil,
			{"paid. The password is in postgres://u:hunter22@db/x, as everybody knows."}}, nil
	}}
	d, err := Read(t.Context(), "handbook.pdf", nil, o)
	if err != nil {
		t.Fatal(err)
	}
	const want = `pdf "Handbook"

=== 1-1 
On call
means to answer within five minutes, by day and by night.

It is

=== 3-3 
paid. The password is in postgres://u:(secret left out)@db/x, as everybody knows.
`
	if got := shown(d); got != want {
		t.Errorf("got\n%s\nand not\n%s", got, want)
	}
}

func TestAPDFThatIsBrokenSaysWhatToDo(t *testing.T) {
	_, err := Read(t.Context(), "a.pdf", nil, Options{PDF: func(context.Context, []byte) (string, [][]string, error) {
		return "", nil, errors.New("it needs a password")
	}})
	if err == nil || err.Error() != "a.pdf: its text cannot be read: it needs a password (save it anew, or leave it out with exclude)" {
		t.Errorf("got %v", err)
	}
	if _, err := Read(t.Context(), "a.pdf", nil, Options{}); !errors.Is(err, ErrSkip) || !strings.Contains(err.Error(), "nothing here reads PDF") {
		t.Errorf("got %v", err)
	}
	if a, b := (Options{}).Format(), (Options{PDF: func(context.Context, []byte) (string, [][]string, error) { return "", nil, nil }}).Format(); a == b {
		t.Errorf("the format is %q whether PDF is read or not", a)
	}
}
