package ingest

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"errors"
	"io"
	"strings"
	"testing"
)

// packed is an archive of parts.
func packed(t testing.TB, parts map[string]string) []byte {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	w.RegisterCompressor(zip.Deflate, func(w io.Writer) (io.WriteCloser, error) { return flate.NewWriter(w, flate.BestSpeed) })
	for name, content := range parts {
		f, err := w.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write([]byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

const word = `<?xml version="1.0" encoding="UTF-8"?><w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main" xmlns:mc="x"><w:body>`

// handbook is a document as Word writes one.
var handbook = map[string]string{
	"docProps/core.xml": `<cp:coreProperties xmlns:cp="a" xmlns:dc="b"><dc:title>Handbook &amp; rules</dc:title></cp:coreProperties>`,
	"word/styles.xml": `<w:styles xmlns:w="a"><w:style w:styleId="berschrift1"><w:name w:val="heading 1"/></w:style>` +
		`<w:style w:styleId="Own"><w:name w:val="Ours"/><w:pPr><w:outlineLvl w:val="1"/></w:pPr></w:style></w:styles>`,
	"word/document.xml": word +
		`<w:p><w:pPr><w:pStyle w:val="berschrift1"/></w:pPr><w:r><w:t>On </w:t></w:r><w:r><w:t>call</w:t></w:r></w:p>` +
		`<w:p><w:r><w:t xml:space="preserve">Whoever is on call </w:t></w:r><w:r><w:t>answers</w:t><w:br/><w:t>within</w:t><w:tab/><w:t>five minutes.</w:t></w:r><w:del><w:r><w:delText>Gone.</w:delText></w:r></w:del></w:p>` +
		`<w:p><w:pPr><w:pStyle w:val="Own"/></w:pPr><w:r><w:t>Steps</w:t></w:r></w:p>` +
		`<w:p><w:pPr><w:numPr/></w:pPr><w:r><w:t>Look</w:t></w:r></w:p><w:p><w:pPr><w:numPr/></w:pPr><w:r><w:t>Think</w:t></w:r></w:p>` +
		`<w:tbl><w:tr><w:tc><w:p><w:r><w:t>Level</w:t></w:r></w:p></w:tc><w:tc><w:p><w:r><w:t>Time</w:t></w:r></w:p></w:tc></w:tr>` +
		strings.Repeat(`<w:tr><w:tc><w:p><w:r><w:t>urgent</w:t></w:r></w:p><w:p><w:r><w:t>always</w:t></w:r></w:p></w:tc><w:tc><w:p><w:r><w:t>five minutes</w:t></w:r></w:p></w:tc></w:tr>`, 4) + `</w:tbl>` +
		`<mc:AlternateContent><mc:Choice><w:p><w:r><w:t>A note.</w:t></w:r></w:p></mc:Choice><mc:Fallback><w:p><w:r><w:t>A note.</w:t></w:r></w:p></mc:Fallback></mc:AlternateContent>` +
		`</w:body></w:document>`,
}

func TestDOCX(t *testing.T) {
	d, err := Read(t.Context(), "handbook.docx", packed(t, handbook), Options{Size: 100})
	if err != nil {
		t.Fatal(err)
	}
	const want = `docx "Handbook & rules"

=== 0-0 On call
Whoever is on call answers within five minutes.

=== 0-0 On call > Steps
- Look
- Think

Level | Time
urgent always | five minutes
urgent always | five minutes

=== 0-0 On call > Steps
Level | Time
urgent always | five minutes
urgent always | five minutes

A note.
`
	if got := shown(d); got != want {
		t.Errorf("got\n%s\nand not\n%s", got, want)
	}
}

func TestHostileDOCX(t *testing.T) {
	for _, c := range []struct {
		name, wants string
		content     []byte
	}{
		{"no archive", "it is no DOCX file", []byte("PK\x03\x04 and no more")},
		{"no document", "word/document.xml cannot be read: it is missing", packed(t, map[string]string{"a": "b"})},
		{"zip bomb", "longer than 32 MiB", packed(t, map[string]string{"word/document.xml": word + strings.Repeat(" ", maxPart)})},
		{"billion laughs", "word/document.xml cannot be read", packed(t, map[string]string{"word/document.xml": `<!DOCTYPE l [<!ENTITY a "x"><!ENTITY b "&a;&a;&a;">]><l>&b;</l>`})},
		{"elements in elements", "word/document.xml cannot be read", packed(t, map[string]string{"word/document.xml": long("<a>", 1<<10)})},
		{"an end too much", "word/document.xml cannot be read", packed(t, map[string]string{"word/document.xml": word + "</w:body></w:document></w:tbl>"})},
		{"tables in tables", "", packed(t, map[string]string{"word/document.xml": word + strings.Repeat("<w:tbl><w:tr><w:tc>", 2000) + "<w:p><w:r><w:t>in</w:t></w:r></w:p>" + strings.Repeat("</w:tc></w:tr></w:tbl>", 2000) + "</w:body></w:document>"})},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Read(t.Context(), "a.docx", c.content, Options{})
			var problem *Error
			if c.wants == "" && err != nil || c.wants != "" && (!errors.As(err, &problem) || !strings.Contains(err.Error(), c.wants)) {
				t.Fatalf("got %v, and %q was expected", err, c.wants)
			}
		})
	}
}

// Secrets are left out of what was packed, too.
func TestSecretsInDOCX(t *testing.T) {
	text := "-----BEGIN PRIVATE KEY-----</w:t></w:r></w:p><w:p><w:r><w:t>" + strings.Repeat("S3cr3tKey", 9) + "</w:t></w:r></w:p><w:p><w:r><w:t>-----END PRIVATE KEY-----"
	d, err := Read(t.Context(), "a.docx", packed(t, map[string]string{"word/document.xml": word + "<w:p><w:r><w:t>It stays. " + text + "</w:t></w:r></w:p></w:body></w:document>"}), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got := shown(d); strings.Contains(got, "S3cr3t") || !strings.Contains(got, "stays") {
		t.Errorf("got\n%s", got)
	}
}

// FuzzDOCX tries the XML within the archive, since a broken archive is soon refused.
func FuzzDOCX(f *testing.F) {
	f.Add([]byte(handbook["word/document.xml"]), []byte(handbook["word/styles.xml"]))
	f.Fuzz(func(t *testing.T, document, styles []byte) {
		d, err := Read(t.Context(), "a.docx", packed(t, map[string]string{"word/document.xml": string(document), "word/styles.xml": string(styles)}), Options{Size: 100})
		var problem *Error
		if err != nil && (!errors.As(err, &problem) || strings.Contains(err.Error(), "its parser failed")) {
			t.Fatal(err)
		}
		for _, c := range d.Chunks {
			if len([]rune(c.Text)) > 100 || c.First != 0 || c.Last != 0 {
				t.Fatalf("a chunk is %+v", c)
			}
		}
	})
}
