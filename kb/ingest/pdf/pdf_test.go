package pdf

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// childArg makes the test binary be the child.
const childArg = "__pdf"

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

func reader(t testing.TB) Child {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return Child{Command: []string{self, childArg}}
}

// file makes a PDF of objects, of which the first is the catalog. trailer is what else its trailer says.
func file(trailer string, objects ...string) []byte {
	var b bytes.Buffer
	b.WriteString("%PDF-1.7\n")
	var at []int
	for i, o := range objects {
		at = append(at, b.Len())
		fmt.Fprintf(&b, "%d 0 obj\n%s\nendobj\n", i+1, o)
	}
	xref := b.Len()
	fmt.Fprintf(&b, "xref\n0 %d\n0000000000 65535 f \n", len(at)+1)
	for _, offset := range at {
		fmt.Fprintf(&b, "%010d 00000 n \n", offset)
	}
	fmt.Fprintf(&b, "trailer\n<< /Size %d /Root 1 0 R %s >>\nstartxref\n%d\n%%%%EOF\n", len(at)+1, trailer, xref)
	return b.Bytes()
}

func stream(s string) string {
	return fmt.Sprintf("<< /Length %d >>\nstream\n%s\nendstream", len(s), s)
}

// twoPages is a file with these contents.
func twoPages(first, second string) []byte {
	const page = "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 600 800] /Resources << /Font << /F1 7 0 R >> >> /Contents %d 0 R >>"
	return file("/Info 8 0 R", "<< /Type /Catalog /Pages 2 0 R >>", "<< /Type /Pages /Kids [3 0 R 4 0 R] /Count 2 >>",
		fmt.Sprintf(page, 5), fmt.Sprintf(page, 6), stream(first), stream(second),
		"<< /Type /Font /Subtype /Type1 /BaseFont /Courier /Encoding /WinAnsiEncoding /FirstChar 32 /LastChar 126 /Widths ["+strings.Repeat("600 ", 95)+"] >>", "<< /Title (Handbook) >>")
}

func TestSpacesAreWhereGlyphsAreApart(t *testing.T) {
	content := twoPages("BT /F1 10 Tf 50 700 Td [(On)-300(call)] TJ 0 -12 Td (answers) Tj 60 0 Td (soon.) Tj -60 -40 Td (Next para) Tj (graph) Tj ET", "BT /F1 10 Tf 50 700 Td (Second page) Tj ET")
	got, err := reader(t).read(t.Context(), content)
	if err != nil {
		t.Fatal(err)
	}
	want := document{Title: "Handbook", Pages: [][]string{{"On call", "answers soon.", "", "Next paragraph"}, {"Second page"}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// hostile are files that would end or hold up whoever reads them.
var hostile = map[string][]byte{
	"nothing":             nil,
	"no PDF":              []byte("%PDF-1.7\nand no more"),
	"an operator alone":   twoPages("Q Q Q BT Tj ET", ""),
	"billions of pages":   file("", "<< /Type /Catalog /Pages 2 0 R >>", "<< /Type /Pages /Kids [] /Count 99999999999 >>"),
	"tables in a ring":    file("/Prev 9", "<< /Type /Catalog >>"),
	"arrays in arrays":    file("", strings.Repeat("[", 1<<20)),
	"strings in strings":  file("", strings.Repeat("(", 1<<20)),
	"a table without end": []byte("%PDF-1.7\n1 0 obj\n<< /Type /XRef /Size 3000000000 /W [1 2 1] /Length 4 >>\nstream\nabcd\nendstream\nendobj\n" + strings.Repeat(" ", 100) + "\nstartxref\n9\n%%EOF\n"),
}

func TestHostileFilesEndOnlyTheChild(t *testing.T) {
	c := reader(t)
	for name, content := range hostile {
		t.Run(name, func(t *testing.T) {
			d, err := c.read(t.Context(), content)
			if err == nil && len(strings.Join(flat(d.Pages), "")) > 1 {
				t.Errorf("it is read as %v", d)
			}
			t.Log(err)
		})
	}
}

func flat(pages [][]string) []string {
	var all []string
	for _, p := range pages {
		all = append(all, p...)
	}
	return all
}

// Files keep the parser busy for ever whose pages have themselves as a parent, or whose object stream says that it has more objects than
// anybody could count. The child is killed.
func TestAFileThatLoopsIsGivenUp(t *testing.T) {
	page := "<< /Type /Page /Parent 3 0 R /Contents 4 0 R >>"
	for name, content := range map[string][]byte{
		"pages in a ring":  file("", "<< /Type /Catalog /Pages 2 0 R >>", "<< /Type /Pages /Kids [2 0 R] /Count 1 >>"),
		"a page of itself": file("", "<< /Type /Catalog /Pages 2 0 R >>", "<< /Type /Pages /Kids [3 0 R] /Count 1 >>", page, stream("BT /F1 1 Tf (a) Tj ET")),
		"an object stream": endless(),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := reader(t)
			c.Timeout = time.Second
			if _, err := c.read(t.Context(), content); err == nil || !strings.Contains(err.Error(), "took longer than 1s") {
				t.Errorf("got %v", err)
			}
		})
	}
}

// endless is a file with an object stream that has no end.
func endless() []byte {
	content := "%PDF-1.7\n1 0 obj\n<< /Type /ObjStm /N 9000000000000000000 /First 10 /Length 4 >>\nstream\n9 9 \nendstream\nendobj\n"
	table := "\x00\x00\x00\x00" + "\x01\x00\x09\x00" + "\x02\x00\x01\x00" // free, in the file, in object stream 1
	at := len(content)
	return fmt.Appendf([]byte(content), "3 0 obj\n<< /Type /XRef /Size 3 /W [1 2 1] /Root 2 0 R /Length %d >>\nstream\n%s\nendstream\nendobj\n%s\nstartxref\n%d\n%%%%EOF\n", len(table), table, strings.Repeat(" ", 100), at)
}

func TestReadEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := reader(t).read(ctx, twoPages("", "")); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestAProgramThatIsMissingIsTold(t *testing.T) {
	if _, err := (Child{Command: []string{"/does/not/exist"}}).read(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "start the process that reads PDFs") {
		t.Errorf("got %v", err)
	}
}

// FuzzContent reads what a page draws, in a child.
func FuzzContent(f *testing.F) {
	f.Add("BT /F1 10 Tf 50 700 Td [(On)-300(call)] TJ ET")
	f.Add("q Q (a) Tj 1 0 0 1 0 0 Tm")
	c := reader(f)
	f.Fuzz(func(t *testing.T, content string) {
		if d, err := c.read(t.Context(), twoPages(content, "")); err == nil && len(d.Pages) != 2 {
			t.Errorf("it has %d pages", len(d.Pages))
		}
	})
}
