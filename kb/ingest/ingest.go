// Package ingest makes documents of files: of a path and the bytes that stand there it tells what it is, what it is called, and the
// chunks it is cut into, each with its headings and lines. It reads no disk and asks nobody.
//
// Every reader makes lines of a document, and blocks of lines that belong together: sections, declarations, resources. Cutting them
// into chunks is one thing, in cutter.go, and so is leaving out what is secret, in secrets.go, which is done before anything is cut.
//
// ReadRendered is for files that render to something else: templates of Helm, kustomizations. It takes what they render to.
//
// What comes in is not trusted. Input, output, nesting, the number of values and the time for a PDF are bounded; beyond a bound, and
// for a document that is broken, there is an *Error that says what to do.
package ingest

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/mainstay-dev/mainstay/kb"
)

// version counts the changes after which files are read differently.
const version = 4

// Limits of a document.
const (
	// MaxBytes is how large a file may be that is packed, in bytes.
	MaxBytes = 64 << 20
	// MaxSource is that of text of all forms, source code included.
	MaxSource = 12 << 20
	// MaxText is how much text may come of a file, in bytes, with what chunks repeat.
	MaxText = 64 << 20
	// MaxChunks is how many chunks a document may have.
	MaxChunks = 50_000
	// maxValues bounds the values of a YAML or JSON document.
	maxValues = 2_000_000
	// maxDepth bounds how deep elements, values, quotes and lists are nested.
	maxDepth = 200
	// maxHeading bounds a heading, a title, and a name, in characters.
	maxHeading = 200
)

// Options say how documents are cut. The zero value means the defaults.
type Options struct {
	// Size is how long a chunk is at most, in characters. Default: 1200. It is at least 100.
	Size int
	// Overlap is how much of a chunk's end the next one of the same section repeats, in characters. It is less than Size.
	Overlap int
	// PDF reads a PDF file: its title, and the lines of each page. Package pdf has one, in a process of its own. Where it is nil,
	// PDF files are skipped.
	PDF func(ctx context.Context, content []byte) (title string, pages [][]string, err error)
}

// DefaultSize is the size of a chunk where Options names none, in characters.
const DefaultSize = 1200

func (o Options) size() int {
	if o.Size == 0 {
		return DefaultSize
	}
	return o.Size
}

func (o Options) check() error {
	if o.size() < 100 || o.Overlap < 0 || o.Overlap >= o.size() {
		return fmt.Errorf("chunks of %d characters with an overlap of %d: use a size of 100 or more, and an overlap that is less", o.size(), o.Overlap)
	}
	return nil
}

// Format identifies how documents are read: by this version of the package, with these options. What was read in another format
// is to be read again.
func (o Options) Format() string {
	format := fmt.Sprintf("ingest/%d size=%d overlap=%d", version, o.size(), o.Overlap)
	if o.PDF != nil {
		format += " pdf"
	}
	return format
}

// ErrSkip is returned for files that are no documents: images, programs, locks, what was generated. It is no failure.
var ErrSkip = errors.New("not a document")

// Error says why a document cannot be read.
type Error struct {
	Path string
	// Line is where, from 1; 0 means the whole file. In a PDF it is the page.
	Line int
	// Message says what is wrong, Hint what can be done.
	Message, Hint string
}

func (e *Error) Error() string {
	at := e.Path
	if e.Line > 0 {
		at += ":" + strconv.Itoa(e.Line)
	}
	return at + ": " + e.Message + " (" + e.Hint + ")"
}

// Read makes a document of a file. path is that from the source's root, with slashes; its name and the content's beginning tell what
// the file is. The error wraps ErrSkip where it is no document, and is an *Error where it cannot be read; whatever ends ctx is
// returned as it is.
func Read(ctx context.Context, path string, content []byte, o Options) (d kb.Document, err error) {
	if err := o.check(); err != nil {
		return kb.Document{}, err
	}
	if reason := Skip(path); reason != "" {
		return kb.Document{}, fmt.Errorf("%s: %w: %s", path, ErrSkip, reason)
	}
	most := MaxSource
	if f := formOf(path); f == formDOCX || f == formPDF {
		most = MaxBytes
	}
	if len(content) > most {
		return kb.Document{}, &Error{Path: path, Message: fmt.Sprintf("it is longer than %d MiB", most>>20), Hint: "split it, or leave it out with exclude"}
	}
	// Parsers of other projects may fail in ways of their own; one document must not end the process.
	defer func() {
		if p := recover(); p != nil {
			d, err = kb.Document{}, &Error{Path: path, Message: fmt.Sprintf("its parser failed: %.200v", p), Hint: "save it anew, or leave it out with exclude"}
		}
	}()
	c := &cutter{ctx: ctx, path: path, size: o.size(), overlap: o.Overlap, readPDF: o.PDF}
	kind, title, err := c.read(content)
	if err == nil {
		err = c.err
	}
	if err != nil {
		return kb.Document{}, err
	}
	return kb.Document{Kind: kind, Title: brief(concealLine(title)), Chunks: c.chunks}, nil
}

// read tells what a file is and reads it.
func (c *cutter) read(content []byte) (kb.Kind, string, error) {
	form := formOf(c.path)
	switch form {
	case formDOCX:
		title, err := c.docx(content)
		return kb.KindDOCX, title, err
	case formPDF:
		title, err := c.pdf(content)
		return kb.KindPDF, title, err
	}
	t, ok := textOf(content)
	if !ok {
		return "", "", fmt.Errorf("%s: %w: it is binary", c.path, ErrSkip)
	}
	if reason := generated(c.path, t); reason != "" {
		return "", "", fmt.Errorf("%s: %w: %s", c.path, ErrSkip, reason)
	}
	return c.text(form, t)
}

// text reads what is a text. Nothing is taken of its lines before what is secret has been left out.
func (c *cutter) text(form form, raw []string) (kb.Kind, string, error) {
	if form == formYAML {
		return c.yaml(raw)
	}
	if form == formHTML {
		title, err := c.html([]byte(strings.Join(raw, "\n")))
		return kb.KindHTML, title, err
	}
	c.lines = conceal(raw)
	switch form {
	case formMarkdown:
		return kb.KindMarkdown, c.markdown(), nil
	case formAgents:
		return kb.KindAgents, c.markdown(), nil
	case formOwners:
		c.owners()
		return kb.KindOwners, "", nil
	case formTerraform:
		concealSettings(c.lines)
		c.code(terraform)
		return kb.KindTerraform, "", nil
	case formGo:
		c.golang()
		return kb.KindCode, "", nil
	}
	if l := languageOf(c.path, c.lines); l != nil {
		if l == settings {
			concealSettings(c.lines)
		}
		c.code(l)
		return kb.KindCode, "", nil
	}
	c.plain()
	return kb.KindText, "", nil
}

// brief shortens a heading to what is fit for one line.
func brief(s string) string {
	s = oneLine(s)
	if utf8.RuneCountInString(s) <= maxHeading {
		return s
	}
	return string([]rune(s)[:maxHeading-1]) + "…"
}
