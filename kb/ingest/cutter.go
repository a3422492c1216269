package ingest

import (
	"context"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/mainstay-dev/mainstay/kb"
)

// cutter packs what belongs together into chunks of at most size characters. A chunk is a range of lines; only of a line that is longer
// than a chunk it is a part.
//
// Blocks are added one after the other. As long as the next one fits, it joins the chunk. One that does not fit begins a new chunk,
// whole if it can be. One that is longer than a chunk is cut where it allows: into its parts, at blank lines, at lines, and a line
// at the end of a sentence or a word.
type cutter struct {
	ctx           context.Context
	path          string
	size, overlap int
	readPDF       func(context.Context, []byte) (string, [][]string, error)

	lines []string
	// at is where each line stands in the document as it is written; nil means in the same place.
	at []span

	// secrets are left out of headings, besides what is secret wherever it stands.
	secrets []string
	// above is the heading above all others, where there is one.
	above   string
	heading []string
	// begun says whether there is a chunk that is being filled, which goes from one place to another and has these characters.
	begun    bool
	from, to place
	runes    int
	// repeated is what the chunk begins with, besides.
	repeated string

	chunks []kb.Chunk
	bytes  int
	err    error
}

// place is a line, from 0, and a byte in it.
type place struct{ line, byte int }

// span is a range of lines of a document as it is written, from 1, the last one included.
type span struct{ first, last int }

// block is a run of lines that belong together, counted from 0, the last one included.
type block struct {
	first, last int
	// parts are where it may be cut. Without, it is cut at blank lines.
	parts []block
	// header is how many of its first lines are repeated when it is cut, as those of a table.
	header int
}

// section adds blocks that stand beneath these headings.
func (c *cutter) section(heading []string, blocks ...block) {
	c.flush()
	c.heading = nil
	for _, h := range append([]string{c.above}, heading...) {
		if h = brief(concealLine(kb.Without(h, c.secrets))); h != "" {
			c.heading = append(c.heading, h)
		}
	}
	for _, b := range blocks {
		c.add(b, "")
	}
	c.flush()
}

// add adds a block. repeated is what a chunk begins with that begins with this block.
func (c *cutter) add(b block, repeated string) {
	for b.first <= b.last && blank(c.lines[b.first]) {
		b.first++
	}
	for b.first <= b.last && blank(c.lines[b.last]) {
		b.last--
	}
	if b.first > b.last || c.err != nil {
		return
	}
	to := place{b.last, len(c.lines[b.last])}
	if c.begun && c.hole(b.first) {
		c.flush()
	}
	if c.fits(to) {
		return
	}
	if c.count(place{b.first, 0}, to, c.size) <= c.size-utf8.RuneCountInString(repeated) {
		c.begin(place{b.first, 0}, to, repeated)
		return
	}
	for _, part := range c.partsOf(b) {
		if part.header < 0 { // One line, which is too long.
			c.sentences(part.first, repeated)
			continue
		}
		head := repeated
		if b.header > 0 && part.first >= b.first+b.header {
			head = c.headerOf(b)
		}
		c.add(part, head)
	}
}

// hole says whether between the chunk and a line there is something that is left out of chunks.
func (c *cutter) hole(line int) bool {
	for i := c.to.line + 1; i < line; i++ {
		if !blank(c.lines[i]) {
			return true
		}
	}
	return false
}

// headerOf is what is repeated of a block that is cut: nothing where it would take half of a chunk.
func (c *cutter) headerOf(b block) string {
	head := strings.Join(c.lines[b.first:b.first+b.header], "\n") + "\n"
	if utf8.RuneCountInString(head) > c.size/2 {
		return ""
	}
	return head
}

// partsOf cuts a block one step finer. A line that cannot be cut into lines has a header of -1.
func (c *cutter) partsOf(b block) []block {
	if len(b.parts) > 0 {
		return b.parts
	}
	if b.first == b.last {
		return []block{{first: b.first, last: b.last, header: -1}}
	}
	var parts []block
	for i := b.first; i <= b.last; i++ {
		if blank(c.lines[i]) {
			continue
		}
		if n := len(parts); n > 0 && parts[n-1].last == i-1 {
			parts[n-1].last = i
		} else {
			parts = append(parts, block{first: i, last: i})
		}
	}
	if len(parts) > 1 {
		return parts
	}
	parts = parts[:0]
	for i := b.first; i <= b.last; i++ {
		parts = append(parts, block{first: i, last: i})
	}
	return parts
}

// fits lets the chunk grow to a place, if it can.
func (c *cutter) fits(to place) bool {
	if !c.begun {
		return false
	}
	n := c.count(c.to, to, c.size)
	if c.runes+n > c.size {
		return false
	}
	c.to, c.runes = to, c.runes+n
	return true
}

// begin begins a new chunk, with the end of the last one before it where they overlap.
func (c *cutter) begin(from, to place, repeated string) {
	last, had := c.from, c.begun
	end := c.to
	c.flush()
	n := utf8.RuneCountInString(repeated) + c.count(from, to, c.size)
	c.begun, c.from, c.to, c.runes, c.repeated = true, from, to, n, repeated
	if had && c.overlap > 0 && repeated == "" {
		c.reach(last, end)
	}
}

// reach moves the chunk's begin back into the last chunk, as far as the overlap and the size allow, to the begin of a line or word.
func (c *cutter) reach(last, end place) {
	gap := c.count(end, c.from, c.size)
	room := min(c.overlap, c.size-c.runes-gap)
	at, n, best, taken := end, 0, end, 0
	for room > 0 {
		if at.byte == 0 {
			if at.line == last.line {
				break
			}
			at = place{at.line - 1, len(c.lines[at.line-1])}
		} else {
			_, w := utf8.DecodeLastRuneInString(c.lines[at.line][:at.byte])
			at.byte -= w
		}
		if n++; n > room || at.line == last.line && at.byte <= last.byte {
			break
		}
		if line := c.lines[at.line]; at.byte == 0 || at.byte < len(line) && line[at.byte] != ' ' && line[at.byte-1] == ' ' {
			// The begin of a line is better than a word in it that comes before.
			if at.byte == 0 || best == end || best.line == at.line {
				best, taken = at, n
			}
		}
	}
	if best != end {
		c.from, c.runes = best, c.runes+taken+gap
	}
}

// sentences adds a line that is longer than a chunk.
func (c *cutter) sentences(line int, repeated string) {
	s := c.lines[line]
	room := c.size - utf8.RuneCountInString(repeated)
	if c.overlap > 0 && repeated == "" {
		room -= min(c.overlap, c.size/2)
	}
	for at := 0; at < len(s) && c.err == nil; {
		n := cutAt(s[at:], room)
		from, to := place{line, at}, place{line, at + n}
		if !c.fits(to) {
			c.begin(from, to, repeated)
		}
		at += n
	}
}

// cutAt returns how many bytes of a text that is cut after at most n characters come before the cut.
func cutAt(s string, n int) int {
	sentence, word, i := 0, 0, 0
	var last rune
	for at, r := range s {
		if i == n {
			switch {
			case sentence > 0:
				return sentence
			case word > 0:
				return word
			}
			return at
		}
		if unicode.IsSpace(last) && !unicode.IsSpace(r) && i > n/2 {
			word = at
			if end := strings.TrimRightFunc(s[max(0, at-8):at], unicode.IsSpace); end != "" && strings.ContainsAny(end[len(end)-1:], ".!?:;") {
				sentence = at
			}
		}
		if last == '。' && i > n/2 {
			sentence = at
		}
		last = r
		i++
	}
	return len(s)
}

// count counts the characters from one place to another, up to a little more than most.
func (c *cutter) count(from, to place, most int) int {
	if from.line == to.line {
		return utf8.RuneCountInString(c.lines[from.line][from.byte:to.byte])
	}
	n := utf8.RuneCountInString(c.lines[from.line][from.byte:]) + 1
	for i := from.line + 1; i < to.line && n <= most; i++ {
		n += utf8.RuneCountInString(c.lines[i]) + 1
	}
	return n + utf8.RuneCountInString(c.lines[to.line][:to.byte])
}

// flush ends the chunk that is being filled.
func (c *cutter) flush() {
	if !c.begun {
		return
	}
	c.begun = false
	first, last := c.from.line, c.to.line
	var b strings.Builder
	b.WriteString(c.repeated)
	if first == last {
		b.WriteString(c.lines[first][c.from.byte:c.to.byte])
	} else {
		b.WriteString(c.lines[first][c.from.byte:])
		for _, line := range c.lines[first+1 : last] {
			b.WriteString("\n" + line)
		}
		b.WriteString("\n" + c.lines[last][:c.to.byte])
	}
	text := strings.TrimRightFunc(b.String(), unicode.IsSpace)
	if c.from.byte > 0 {
		text = strings.TrimLeftFunc(text, unicode.IsSpace)
	}
	at := c.written(first, last)
	c.emit(c.heading, at.first, at.last, text)
}

// written is where lines stand in the document.
func (c *cutter) written(first, last int) span {
	if c.at == nil {
		return span{first + 1, last + 1}
	}
	at := c.at[first]
	for _, s := range c.at[first+1 : last+1] {
		at = span{min(at.first, s.first), max(at.last, s.last)}
	}
	return at
}

// sayable is what a text must have one of to be found: brackets alone are no chunk.
func sayable(r rune) bool {
	return unicode.IsLetter(r) || unicode.IsNumber(r) || unicode.IsSymbol(r) && r > unicode.MaxASCII
}

// emit takes a chunk as it is.
func (c *cutter) emit(heading []string, first, last int, text string) {
	if c.err != nil || strings.IndexFunc(text, sayable) < 0 {
		return
	}
	if len(c.chunks)%256 == 0 && c.ctx.Err() != nil {
		c.err = context.Cause(c.ctx)
		return
	}
	c.bytes += len(text)
	if len(c.chunks) == MaxChunks || c.bytes > MaxText {
		c.err = c.failed(0, "split it, leave it out with exclude, or let chunks be longer or overlap less",
			"it makes more than %d chunks or %d MiB of text", MaxChunks, MaxText>>20)
		return
	}
	c.chunks = append(c.chunks, kb.Chunk{Heading: heading, First: first, Last: last, Text: text})
}

func (c *cutter) failed(line int, hint, format string, args ...any) *Error {
	return &Error{Path: c.path, Line: line, Message: fmt.Sprintf(format, args...), Hint: hint}
}
