package graph

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"maps"
	"slices"
)

// encoded begins what Encode writes. The digit is the version of the layout.
const encoded = "mgf1"

// ErrEncoding is returned by Decode for what Encode did not write, or what was damaged since. The file is extracted again then.
var ErrEncoding = errors.New("these are no facts of this version, or they were damaged: extract the file again")

// Encode writes facts compactly: the texts, each once, and then numbers. They are the same for the same facts. Keep them by the blob's id
// and Format, since they depend on nothing else but the path.
func (f Facts) Encode() []byte {
	w := encoder{texts: map[string]uint64{}}
	w.text(f.Path)
	w.number(len(f.Entities))
	for _, e := range f.Entities {
		w.node(e.Node)
		w.number(e.First)
		w.number(e.Last)
		w.number(len(e.Labels))
		for _, key := range slices.Sorted(maps.Keys(e.Labels)) {
			w.text(key)
			w.text(e.Labels[key])
		}
	}
	w.number(len(f.Links))
	for _, l := range f.Links {
		w.node(l.From)
		w.text(string(l.Relation))
		w.node(l.To)
		w.text(l.Version)
		w.line(l.Line, l.IfDeclared)
	}
	w.number(len(f.Problems))
	for _, p := range f.Problems {
		w.line(p.Line, p.Harmless)
		w.text(p.Text)
	}
	data := []byte(encoded)
	data = binary.AppendUvarint(data, uint64(len(w.list)))
	for _, t := range w.list {
		data = binary.AppendUvarint(data, uint64(len(t)))
		data = append(data, t...)
	}
	data = append(data, w.numbers...)
	return binary.LittleEndian.AppendUint32(data, crc32.ChecksumIEEE(data))
}

type encoder struct {
	texts   map[string]uint64
	list    []string
	numbers []byte
}

func (w *encoder) number(n int) { w.numbers = binary.AppendUvarint(w.numbers, uint64(max(n, 0))) }

// line writes a number and a yes or no.
func (w *encoder) line(n int, yes bool) {
	n <<= 1
	if yes {
		n++
	}
	w.number(n)
}

func (w *encoder) text(t string) {
	id, known := w.texts[t]
	if !known {
		id = uint64(len(w.list))
		w.texts[t] = id
		w.list = append(w.list, t)
	}
	w.numbers = binary.AppendUvarint(w.numbers, id)
}

func (w *encoder) node(n Node) {
	w.text(n.Group)
	w.text(n.Kind)
	w.text(n.Namespace)
	w.text(n.Name)
}

// Decode reads what Encode wrote.
func Decode(data []byte) (Facts, error) {
	if len(data) < len(encoded)+4 || string(data[:len(encoded)]) != encoded {
		return Facts{}, ErrEncoding
	}
	body, sum := data[:len(data)-4], binary.LittleEndian.Uint32(data[len(data)-4:])
	if crc32.ChecksumIEEE(body) != sum {
		return Facts{}, ErrEncoding
	}
	r := decoder{rest: body[len(encoded):]}
	for range r.count() {
		r.list = append(r.list, string(r.bytes()))
	}
	f := Facts{Path: r.text()}
	for range r.count() {
		e := Entity{Node: r.node(), First: r.number(), Last: r.number()}
		for range r.count() {
			if e.Labels == nil {
				e.Labels = map[string]string{}
			}
			key := r.text()
			e.Labels[key] = r.text()
		}
		f.Entities = append(f.Entities, e)
	}
	for range r.count() {
		l := Link{From: r.node(), Relation: Relation(r.text()), To: r.node(), Version: r.text()}
		l.Line, l.IfDeclared = r.line()
		if _, known := relations[l.Relation]; !known {
			r.failed = true
		}
		f.Links = append(f.Links, l)
	}
	for range r.count() {
		p := Problem{}
		p.Line, p.Harmless = r.line()
		p.Text = r.text()
		f.Problems = append(f.Problems, p)
	}
	if r.failed || len(r.rest) > 0 {
		return Facts{}, ErrEncoding
	}
	return f, nil
}

type decoder struct {
	rest   []byte
	list   []string
	failed bool
}

func (r *decoder) number() int {
	n, size := binary.Uvarint(r.rest)
	if size <= 0 || n > 1<<40 {
		r.failed, r.rest = true, nil
		return 0
	}
	r.rest = r.rest[size:]
	return int(n)
}

func (r *decoder) line() (int, bool) {
	n := r.number()
	return n >> 1, n&1 == 1
}

// count is how many of something follow. Each has a byte at least.
func (r *decoder) count() int {
	n := r.number()
	if n > len(r.rest) {
		r.failed, r.rest = true, nil
		return 0
	}
	return n
}

func (r *decoder) bytes() []byte {
	n := r.count()
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

func (r *decoder) text() string {
	if n := r.number(); n < len(r.list) {
		return r.list[n]
	}
	r.failed, r.rest = true, nil
	return ""
}

func (r *decoder) node() Node { return Node{r.text(), r.text(), r.text(), r.text()} }
