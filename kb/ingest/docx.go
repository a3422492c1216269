package ingest

import (
	"archive/zip"
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"strconv"
	"strings"
)

// Limits of a DOCX file, since what is packed may be a thousand times as long as the file.
const (
	// maxPart is how long a part of it may be when it is unpacked, in bytes.
	maxPart = 32 << 20
	// maxParts is how many parts are looked at.
	maxParts = 10_000
)

// docxLine is a paragraph, or a row of a table.
type docxLine struct {
	text         string
	level, table int
	head         bool
}

// docx reads a document of Office Open XML (ECMA-376): paragraphs, headings by their style, lists and tables. It has no lines and no pages that
// could be told.
func (c *cutter) docx(content []byte) (string, error) {
	const hint = "save it anew, or leave it out with exclude"
	archive, err := zip.NewReader(bytes.NewReader(content), int64(len(content)))
	if err != nil {
		return "", c.failed(0, hint, "it is no DOCX file: %v", err)
	}
	if len(archive.File) > maxParts {
		return "", c.failed(0, hint, "it has more than %d parts", maxParts)
	}
	part := func(name string) ([]byte, error) {
		for _, f := range archive.File {
			if f.Name != name {
				continue
			}
			r, err := f.Open()
			if err != nil {
				return nil, err
			}
			defer r.Close()
			b, err := io.ReadAll(io.LimitReader(r, maxPart+1))
			if err == nil && len(b) > maxPart {
				err = errors.New("unpacked, it is longer than " + strconv.Itoa(maxPart>>20) + " MiB")
			}
			return b, err
		}
		return nil, nil
	}
	styles, err := part("word/styles.xml")
	if err != nil {
		return "", c.failed(0, hint, "its part word/styles.xml cannot be read: %v", err)
	}
	core, err := part("docProps/core.xml")
	if err != nil {
		return "", c.failed(0, hint, "its part docProps/core.xml cannot be read: %v", err)
	}
	document, err := part("word/document.xml")
	if err == nil && document == nil {
		err = errors.New("it is missing")
	}
	if err != nil {
		return "", c.failed(0, hint, "its part word/document.xml cannot be read: %v", err)
	}
	d := &docxReader{levels: headingStyles(styles)}
	if err := d.read(document); err != nil {
		return "", c.failed(0, hint, "its part word/document.xml cannot be read: %v", err)
	}
	title := docxTitle(core)
	for _, l := range d.all {
		if title == "" && l.level > 0 {
			title = l.text
		}
		c.lines = append(c.lines, l.text)
	}
	c.lines, c.at = conceal(c.lines), make([]span, len(d.all))
	c.outline(len(d.all), func(i int) (level, table int, head bool) { return d.all[i].level, d.all[i].table, d.all[i].head })
	return title, nil
}

// elements reads XML and calls for what begins, what ends, and text. Entities that a document defines are refused by the decoder.
func elements(source []byte, open func(xml.StartElement), end func(name string), text func(string)) error {
	d := xml.NewDecoder(bytes.NewReader(source))
	for {
		t, err := d.Token()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		switch t := t.(type) {
		case xml.StartElement:
			open(t)
		case xml.EndElement:
			end(t.Name.Local)
		case xml.CharData:
			text(string(t))
		}
	}
}

func xmlValue(e xml.StartElement, name string) string {
	for _, a := range e.Attr {
		if a.Name.Local == name {
			return a.Value
		}
	}
	return ""
}

// headingStyles are the levels of headings by the ids of styles. What cannot be read has none.
func headingStyles(source []byte) map[string]int {
	levels := map[string]int{"Title": 1}
	id := ""
	_ = elements(source, func(e xml.StartElement) {
		switch e.Name.Local {
		case "style":
			id = xmlValue(e, "styleId")
		case "name":
			if n, ok := strings.CutPrefix(strings.ToLower(xmlValue(e, "val")), "heading "); ok && id != "" {
				if level, err := strconv.Atoi(n); err == nil && level >= 1 && level <= 9 {
					levels[id] = level
				}
			}
		case "outlineLvl":
			if level, err := strconv.Atoi(xmlValue(e, "val")); err == nil && level >= 0 && level < 9 && id != "" {
				levels[id] = level + 1
			}
		}
	}, func(string) {}, func(string) {})
	return levels
}

func docxTitle(core []byte) string {
	title, in := "", false
	_ = elements(core, func(e xml.StartElement) { in = e.Name.Local == "title" }, func(string) { in = false }, func(s string) {
		if in {
			title += s
		}
	})
	return oneLine(title)
}

type docxReader struct {
	levels map[string]int
	all    []docxLine

	text   strings.Builder
	inText bool
	hidden int // how many elements are open that repeat another
	level  int
	item   bool
	tables int // how many there were
	open   int // how many are open
	cells  []string
	row    int
	cell   strings.Builder
}

func (d *docxReader) read(source []byte) error {
	return elements(source, d.begin, d.end, func(s string) {
		if d.inText && d.hidden == 0 {
			d.text.WriteString(s)
		}
	})
}

func (d *docxReader) begin(e xml.StartElement) {
	switch e.Name.Local {
	case "Fallback":
		d.hidden++
	case "p":
		d.text.Reset()
		d.level, d.item = 0, false
	case "pStyle":
		style := xmlValue(e, "val")
		d.level = d.levels[style]
		d.item = d.item || strings.HasPrefix(style, "List")
	case "numPr":
		d.item = true
	case "outlineLvl":
		if level, err := strconv.Atoi(xmlValue(e, "val")); err == nil && level >= 0 && level < 9 {
			d.level = level + 1
		}
	case "t":
		d.inText = true
	case "tab":
		d.text.WriteByte(' ')
	case "br", "cr":
		d.text.WriteByte(' ')
	case "tbl":
		if d.open == 0 {
			d.gap()
			d.tables++
			d.row = 0
		}
		d.open++
	case "tr":
		if d.open == 1 {
			d.cells = nil
		}
	case "tc":
		if d.open == 1 {
			d.cell.Reset()
		}
	}
}

func (d *docxReader) end(name string) {
	switch name {
	case "Fallback":
		d.hidden--
	case "t":
		d.inText = false
	case "p":
		d.paragraph(oneLine(d.text.String()))
		d.text.Reset()
	case "tc":
		if d.open == 1 {
			d.cells = append(d.cells, oneLine(d.cell.String()))
		}
	case "tr":
		if d.open == 1 && len(d.cells) > 0 {
			d.all = append(d.all, docxLine{text: strings.Join(d.cells, " | "), table: d.tables, head: d.row == 0})
			d.row++
		}
	case "tbl":
		if d.open--; d.open == 0 {
			d.gap()
		}
	}
}

func (d *docxReader) paragraph(s string) {
	switch {
	case s == "":
	case d.open > 0:
		d.cell.WriteString(" " + s)
	case d.level > 0:
		d.gap()
		d.all = append(d.all, docxLine{text: s, level: d.level})
	case d.item:
		d.all = append(d.all, docxLine{text: "- " + s})
	default:
		d.gap()
		d.all = append(d.all, docxLine{text: s})
		d.gap()
	}
}

// gap leaves an empty line.
func (d *docxReader) gap() {
	if n := len(d.all); n > 0 && d.all[n-1].text != "" {
		d.all = append(d.all, docxLine{})
	}
}
