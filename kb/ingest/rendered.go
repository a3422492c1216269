package ingest

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/mainstay-dev/mainstay/kb"
)

// ReadRendered is Read for a file that renders to objects, which are more chunks of the document, each beneath what has rendered it and the
// name of the object. secrets are left out of them, besides what is left out of every document.
func ReadRendered(ctx context.Context, name string, content []byte, objects []kb.Rendered, secrets []string, o Options) (d kb.Document, err error) {
	d, err = Read(ctx, name, content, o)
	if len(objects) == 0 || err != nil && !errors.Is(err, ErrSkip) {
		return d, err
	}
	defer func() {
		if p := recover(); p != nil {
			d, err = kb.Document{}, &Error{Path: name, Message: fmt.Sprintf("the parser of what it renders to failed: %.200v", p), Hint: "leave it out with exclude"}
		}
	}()
	c := &cutter{ctx: ctx, path: path.Join(path.Dir(name), "rendered.yaml"), size: o.size(), overlap: o.Overlap, secrets: secrets}
	for _, object := range objects {
		if err := c.rendered(object); err != nil {
			return kb.Document{}, err
		}
	}
	if c.err != nil {
		return kb.Document{}, c.err
	}
	d.Kind = kb.KindManifest
	d.Chunks = append(d.Chunks, c.chunks...)
	return d, nil
}

// rendered adds an object.
func (c *cutter) rendered(o kb.Rendered) error {
	raw := linesOf(strings.ToValidUTF8(o.Text, "\ufffd"))
	documents, err := c.yamlDocuments(raw)
	if err != nil {
		return err
	}
	for _, d := range documents {
		if d.root != nil {
			concealValues(raw[:d.last+1], d)
		}
	}
	for i, line := range raw {
		raw[i] = kb.Without(line, c.secrets)
	}
	c.lines = conceal(raw)
	concealSettings(c.lines)
	c.at = make([]span, len(c.lines))
	for i := range c.at {
		c.at[i] = span{o.First, o.Last}
	}
	c.above = o.From
	for _, d := range documents {
		if d.last >= d.first {
			c.resource(d)
		}
	}
	return nil
}

// shortestSecret is how long a value is at least that is left out wherever it stands, in bytes.
const shortestSecret = 4

// Secrets are the values that are left out of files, or of objects that these render to, where they stand, and that the files do not tell
// anywhere else: where a template or a build puts them somewhere else, they are to be left out there too. They are sorted, the longest
// first, each as it is and in base64. Files that are no YAML have none.
func Secrets(files map[string][]byte, objects []kb.Rendered) []string {
	found := map[string]bool{}
	var told strings.Builder
	for name, content := range files {
		if raw, ok := textOf(content); ok && len(content) <= MaxSource {
			for _, line := range conceal(concealedValues(name, raw, found)) {
				told.WriteString(line)
				told.WriteByte('\n')
			}
		}
	}
	for _, o := range objects {
		concealedValues("rendered.yaml", linesOf(o.Text), found)
	}
	var all []string
	for s := range found {
		if !strings.Contains(told.String(), s) {
			all = append(all, s, base64.StdEncoding.EncodeToString([]byte(s)))
		}
	}
	slices.SortFunc(all, func(a, b string) int { return cmp.Or(len(b)-len(a), strings.Compare(a, b)) })
	return slices.Compact(all)
}

// concealedValues are the lines of a file without the values that are secret, which it adds to found, without base64 where they have it.
func concealedValues(name string, raw []string, found map[string]bool) []string {
	if formOf(name) != formYAML {
		return raw
	}
	c := &cutter{ctx: context.Background(), path: name}
	documents, err := c.yamlDocuments(raw)
	if err != nil {
		return raw
	}
	add := func(v string) {
		for line := range strings.Lines(v) {
			if line = strings.TrimSpace(line); len(line) >= shortestSecret {
				found[line] = true
			}
		}
	}
	lines := slices.Clone(raw)
	for _, d := range documents {
		if d.root == nil {
			continue
		}
		for _, v := range secretValues(d) {
			add(v)
			if plain, err := base64.StdEncoding.DecodeString(v); err == nil && utf8.Valid(plain) {
				add(string(plain))
			}
		}
		concealValues(lines[:d.last+1], d)
	}
	return lines
}
