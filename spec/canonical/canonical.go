// Package canonical writes JSON in one form, so that formatting never changes a digest. It is all that package spec and
// the runtimes' SDK share, and it needs nothing but the standard library.
package canonical

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// JSON returns v in the one form that digests are over and that a run's record keeps: no spaces, keys sorted by their
// bytes and each there once (the last one wins), strings as UTF-8 with no needless escapes, integers with all their
// digits, and every other number as the shortest text that reads back as the same float64, without a fraction where it
// has none. v is anything encoding/json takes, a json.RawMessage too. Numbers beyond float64 are an error.
func JSON(v any) (json.RawMessage, error) {
	text, err := encoded(v)
	if err == nil {
		w := writer{in: text, out: make([]byte, 0, len(text))}
		if err = w.value(); err == nil {
			return w.out, nil
		}
	}
	return nil, fmt.Errorf("encode canonical JSON: %w", err)
}

// encoded is v as encoding/json writes it: without spaces, and with no more escapes in strings than they have where they stand in a
// json.RawMessage.
func encoded(v any) ([]byte, error) {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(v)
	return bytes.TrimSuffix(out.Bytes(), []byte("\n")), err
}

// writer writes the values of a JSON text without spaces in the one form.
type writer struct {
	in  []byte
	at  int
	out []byte
	// members are those of the objects that are being written.
	members []member
}

// member is a key of an object with its value, from one place to another in what was written.
type member struct {
	key      string
	from, to int
}

func (w *writer) value() error {
	switch w.in[w.at] {
	case '{':
		return w.object()
	case '[':
		return w.list()
	case '"':
		_, err := w.string(false)
		return err
	case 't', 'f', 'n':
		w.copy(w.until())
		return nil
	}
	return w.number()
}

// copy takes the next n bytes over as they are.
func (w *writer) copy(n int) {
	w.out = append(w.out, w.in[w.at:w.at+n]...)
	w.at += n
}

// until is how many bytes there are until what ends a number or word.
func (w *writer) until() int {
	if n := bytes.IndexAny(w.in[w.at:], ",]}"); n >= 0 {
		return n
	}
	return len(w.in) - w.at
}

func (w *writer) list() error {
	w.copy(1)
	for w.in[w.at] != ']' {
		if w.in[w.at] == ',' {
			w.copy(1)
		}
		if err := w.value(); err != nil {
			return err
		}
	}
	w.copy(1)
	return nil
}

func (w *writer) object() error {
	w.copy(1)
	first, start := len(w.members), len(w.out)
	sorted := true
	for w.in[w.at] != '}' {
		if w.in[w.at] == ',' {
			w.copy(1)
		}
		m := member{from: len(w.out)}
		var err error
		if m.key, err = w.string(true); err != nil {
			return err
		}
		w.copy(1) // The colon.
		if err := w.value(); err != nil {
			return err
		}
		m.to = len(w.out)
		sorted = sorted && (len(w.members) == first || w.members[len(w.members)-1].key < m.key)
		w.members = append(w.members, m)
	}
	if !sorted {
		w.sort(w.members[first:], start)
	}
	w.members = w.members[:first]
	w.copy(1)
	return nil
}

// sort puts the members in order that were written from start on, each once.
func (w *writer) sort(members []member, start int) {
	slices.SortStableFunc(members, func(a, b member) int { return strings.Compare(a.key, b.key) })
	written := slices.Clone(w.out[start:])
	w.out = w.out[:start]
	for i, m := range members {
		if i+1 < len(members) && members[i+1].key == m.key {
			continue // The last one wins.
		}
		if len(w.out) > start {
			w.out = append(w.out, ',')
		}
		w.out = append(w.out, written[m.from-start:m.to-start]...)
	}
}

// string writes a string. Where said is wanted, it is what the string says.
func (w *writer) string(wanted bool) (said string, err error) {
	end, plain, known := w.at+1, true, true
	for w.in[end] != '"' {
		switch c := w.in[end]; {
		case c == '\\':
			// These are escaped as encoding/json does; of others it may write the character, and of that the bytes.
			plain, known = false, known && strings.IndexByte(`"\nrtbf`, w.in[end+1]) >= 0
			end++
		case c == 0xE2 && w.in[end+1] == 0x80 && w.in[end+2]&^1 == 0xA8:
			known = false // U+2028 and U+2029 are escaped, for the sake of JavaScript.
		}
		end++
	}
	raw := w.in[w.at : end+1]
	w.at = end + 1
	known = known && utf8.Valid(raw)
	switch {
	case plain && known:
		if wanted {
			said = string(raw[1 : len(raw)-1])
		}
	case wanted || !known:
		if err := json.Unmarshal(raw, &said); err != nil {
			return "", err
		}
	}
	if !known {
		if raw, err = encoded(said); err != nil {
			return "", err
		}
	}
	w.out = append(w.out, raw...)
	return said, nil
}

func (w *writer) number() error {
	n := w.until()
	text := string(w.in[w.at : w.at+n])
	if strings.ContainsAny(text, ".eE") {
		f, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return fmt.Errorf("the number %.40s does not fit a float64", text)
		}
		w.at += n
		if f == math.Trunc(f) && math.Abs(f) < 1<<53 {
			w.out = strconv.AppendInt(w.out, int64(f), 10)
			return nil
		}
		short, err := json.Marshal(f)
		w.out = append(w.out, short...)
		return err
	}
	if text == "-0" {
		w.at++
		n--
	}
	w.copy(n)
	return nil
}
