package audit_test

import (
	"bufio"
	"bytes"
	"compress/zlib"
	"crypto/sha1" //nolint:gosec // Git's format is defined with SHA-1.
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/idxfile"

	"github.com/mainstay-dev/mainstay/reconciler/audit"
	"github.com/mainstay-dev/mainstay/reconciler/proposal"
	"github.com/mainstay-dev/mainstay/reconciler/remote"
	"github.com/mainstay-dev/mainstay/spec"
)

// BenchmarkVerify audits a bare repository with that many executed actions, all of whose files are still on the branch. Beside
// the whole cost of each action it reports what the five signatures of an action cost by themselves, both in the time of the
// processor, so that others on the machine do not count. It takes a minute to make the longer history.
func BenchmarkVerify(b *testing.B) {
	for _, actions := range []int{1_000, 10_000} {
		b.Run(fmt.Sprint(actions), func(b *testing.B) {
			dir, o, signed := longHistory(b, actions)
			begin := processor(b)
			for b.Loop() {
				clone, err := remote.OpenStore(dir)
				if err != nil {
					b.Fatal(err)
				}
				o.History = clone
				r, err := audit.Audit(b.Context(), o)
				if err != nil || !r.Holds() || len(r.Actions) != actions || r.Ledger.Entries != 3*actions {
					b.Fatalf("it does not hold: %v, %+v", err, r)
				}
			}
			b.ReportMetric(micros(processor(b)-begin)/float64(b.N*actions), "cpu-µs/action")
			clone, err := remote.OpenStore(dir)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(micros(signatures(b, clone, signed)), "cpu-µs/action-of-signatures")
		})
	}
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// processor is how long this process has had a processor.
func processor(b *testing.B) time.Duration {
	b.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// signatures is how long the signatures of one action take: of its proposal, its merge and its entries.
func signatures(b *testing.B, clone *remote.Clone, commits map[string]spec.Key) time.Duration {
	b.Helper()
	var read []remote.Commit
	for id := range commits {
		c, err := clone.Commit(id)
		if err != nil {
			b.Fatal(err)
		}
		read = append(read, c)
	}
	begin := processor(b)
	for _, c := range read {
		if _, err := remote.VerifyCommit(c, []spec.Key{commits[c.ID]}); err != nil {
			b.Fatal(err)
		}
	}
	return (processor(b) - begin) * 5 / time.Duration(len(read))
}

// longHistory makes a bare repository with that many executed actions. It returns some of their commits and who signed them.
func longHistory(b *testing.B, actions int) (dir string, o audit.Options, signed map[string]spec.Key) {
	b.Helper()
	w := newWorld(b)
	p := newPacker(b)
	person, machine := parsedKey(b, w.ada), parsedKey(b, w.robot)
	signed = map[string]spec.Key{}
	book := p.folder(nil, "README.md", "100644", p.blob("The ledger.\n"))
	ledger := p.commit(w.now, book, "Begin", w.robot)
	w.genesis = ledger.String()
	rootFile := p.blob(w.root(w.ada))
	main := p.commit(w.now, p.folder(nil, "mainstay.yaml", "100644", rootFile), "Begin", nil)
	w.main = main.String()
	onMain, inLedger := &folder{}, &folder{}
	for n := 1; n <= actions; n++ {
		w.main = main.String()
		file := w.file(n, "shop")
		id := action(n)
		w.files[id] = file
		tree := p.folder(nil, "actions", "40000", p.with(onMain, string(id)+".yaml", "100644", p.blob(file)), "mainstay.yaml", "100644", rootFile)
		head := p.commit(w.now, tree, proposal.Message(spec.Proposal{
			Key: key(n), Kind: spec.ProposalAction, Agent: "triage", Run: run, Exchange: n, Action: id,
			Base: spec.NewRevision("main", w.main), Title: "Restart deployment shop",
		}), w.robot, main)
		main = p.commit(w.now, tree, "Merge", w.ada, main, head)
		claim := w.claim(n, main.String(), head.String())
		var entries []any
		for _, e := range []spec.LedgerEntry{claim, next(claim, spec.StepReceipt), next(claim, spec.StepStarted)} { // as Git sorts them
			content, err := json.MarshalIndent(e, "", "  ")
			w.ok(err)
			entries = append(entries, e.Step+".json", "100644", p.blob(string(content)))
		}
		for _, steps := range [][]any{entries[:3], slices.Concat(entries[:3], entries[6:]), entries} {
			top := p.folder(nil, "README.md", "100644", p.blob("The ledger.\n"), "actions", "40000", p.with(inLedger, string(id), "40000", p.folder(nil, steps...)))
			ledger = p.commit(w.now, top, "entry", w.robot, ledger)
		}
		if n%(actions/100) == 0 {
			signed[main.String()], signed[head.String()], signed[ledger.String()] = person, machine, machine
		}
	}
	dir = filepath.Join(b.TempDir(), "long.git")
	p.write(dir, map[string]plumbing.Hash{"main": main, "mainstay/ledger": ledger})
	return dir, audit.Options{Branch: "main", Tip: main.String(), LedgerTip: ledger.String(), Now: w.now}, signed
}

func parsedKey(b *testing.B, s *remote.Signer) spec.Key {
	b.Helper()
	k, err := spec.ParseKey("x", s.AuthorizedKey())
	if err != nil {
		b.Fatal(err)
	}
	return k
}

// packer writes a pack (gitformat-pack(5)) as fast as it can: a folder of thousands of files that gets one more is written as
// what has changed since a full one.
type packer struct {
	b      *testing.B
	out    *bufio.Writer
	file   *os.File
	sum    hash.Hash
	at     int64
	index  idxfile.Writer
	seen   map[plumbing.Hash]bool
	zip    *zlib.Writer
	zipped bytes.Buffer
}

// folder is a folder that grows.
type folder struct {
	raw   []byte // as it is now
	names []string
	base  []byte // as it was last written in full
	from  int64  // and where
	since int
}

func newPacker(b *testing.B) *packer {
	b.Helper()
	file, err := os.Create(filepath.Join(b.TempDir(), "pack"))
	if err != nil {
		b.Fatal(err)
	}
	p := &packer{b: b, file: file, sum: sha1.New(), seen: map[plumbing.Hash]bool{}, zip: zlib.NewWriter(nil)} //nolint:gosec // Git's format.
	p.out = bufio.NewWriterSize(io.MultiWriter(file, p.sum), 1<<20)
	p.put([]byte("PACK\x00\x00\x00\x02\x00\x00\x00\x00")) // The number of objects is written at the end.
	return p
}

func (p *packer) ok(err error) {
	p.b.Helper()
	if err != nil {
		p.b.Fatal(err)
	}
}

func (p *packer) put(b []byte) {
	n, err := p.out.Write(b)
	p.ok(err)
	p.at += int64(n)
}

func id(kind string, content []byte) plumbing.Hash {
	h := sha1.New() //nolint:gosec // Git's format.
	fmt.Fprintf(h, "%s %d\x00", kind, len(content))
	h.Write(content)
	return plumbing.Hash(h.Sum(nil))
}

// object writes an object; extra stands before its content, as the place of a delta's base does.
func (p *packer) object(h plumbing.Hash, kind byte, extra, content []byte) {
	head := []byte{kind<<4 | byte(len(content)&15)}
	for size := len(content) >> 4; size > 0; size >>= 7 {
		head[len(head)-1] |= 0x80
		head = append(head, byte(size&0x7f))
	}
	p.zipped.Reset()
	p.zip.Reset(&p.zipped)
	_, err := p.zip.Write(content)
	p.ok(err)
	p.ok(p.zip.Close())
	all := slices.Concat(head, extra, p.zipped.Bytes())
	p.index.Add(h, uint64(p.at), crc32.ChecksumIEEE(all))
	p.seen[h] = true
	p.put(all)
}

func (p *packer) blob(text string) plumbing.Hash {
	h := id("blob", []byte(text))
	if !p.seen[h] {
		p.object(h, 3, nil, []byte(text))
	}
	return h
}

// folder writes a folder from triples of a name, a mode and an object.
func (p *packer) folder(raw []byte, entries ...any) plumbing.Hash {
	for i := 0; i < len(entries); i += 3 {
		h := entries[i+2].(plumbing.Hash)
		raw = append(fmt.Appendf(raw, "%s %s\x00", entries[i+1], entries[i]), h[:]...)
	}
	h := id("tree", raw)
	if !p.seen[h] {
		p.object(h, 2, nil, raw)
	}
	return h
}

// with puts an entry into a folder that grows, and writes it.
func (p *packer) with(f *folder, name, mode string, object plumbing.Hash) plumbing.Hash {
	entry := append(fmt.Appendf(nil, "%s %s\x00", mode, name), object[:]...)
	i, found := slices.BinarySearch(f.names, name)
	at := 0
	for _, before := range f.names[:i] {
		at += len(mode) + 1 + len(before) + 1 + len(object)
	}
	if found {
		copy(f.raw[at:], entry)
	} else {
		f.names = slices.Insert(f.names, i, name)
		f.raw = slices.Insert(f.raw, at, entry...)
	}
	h := id("tree", f.raw)
	if f.base == nil || f.since == 100 {
		f.base, f.from, f.since = slices.Clone(f.raw), p.at, 0
		p.object(h, 2, nil, f.raw)
		return h
	}
	f.since++
	p.object(h, 6, offset(p.at-f.from), delta(f.base, f.raw))
	return h
}

// delta says how one content is made of another: what both begin with, what is new, and what both end with.
func delta(from, to []byte) []byte {
	out := binary.AppendUvarint(binary.AppendUvarint(nil, uint64(len(from))), uint64(len(to)))
	begin := 0
	for begin < min(len(from), len(to)) && from[begin] == to[begin] {
		begin++
	}
	end := 0
	for end < min(len(from), len(to))-begin && from[len(from)-1-end] == to[len(to)-1-end] {
		end++
	}
	out = appendCopy(out, 0, begin)
	for middle := to[begin : len(to)-end]; len(middle) > 0; {
		n := min(len(middle), 127)
		out, middle = append(append(out, byte(n)), middle[:n]...), middle[n:]
	}
	return appendCopy(out, len(from)-end, end)
}

func appendCopy(out []byte, at, size int) []byte {
	for size > 0 {
		n := min(size, 0xffff)
		out = append(out, 0xbf, byte(at), byte(at>>8), byte(at>>16), byte(at>>24), byte(n), byte(n>>8))
		at, size = at+n, size-n
	}
	return out
}

// offset writes how far back the base of a delta lies.
func offset(n int64) []byte {
	out := []byte{byte(n & 0x7f)}
	for n >>= 7; n > 0; n >>= 7 {
		n--
		out = append([]byte{0x80 | byte(n&0x7f)}, out...)
	}
	return out
}

func (p *packer) commit(at time.Time, tree plumbing.Hash, message string, signer *remote.Signer, parents ...plumbing.Hash) plumbing.Hash {
	var head strings.Builder
	fmt.Fprintf(&head, "tree %s\n", tree)
	for _, parent := range parents {
		fmt.Fprintf(&head, "parent %s\n", parent)
	}
	for _, who := range []string{"author", "committer"} {
		fmt.Fprintf(&head, "%s Someone <someone@example.com> %d +0000\n", who, at.Unix())
	}
	content := head.String() + "\n" + message
	if signer != nil {
		signature, err := signer.Sign([]byte(content), at)
		p.ok(err)
		content = head.String() + "gpgsig " + strings.ReplaceAll(string(signature), "\n", "\n ") + "\n\n" + message
	}
	h := id("commit", []byte(content))
	p.object(h, 1, nil, []byte(content))
	return h
}

// write makes the bare repository.
func (p *packer) write(dir string, branches map[string]plumbing.Hash) {
	p.ok(p.out.Flush())
	_, err := p.file.WriteAt(binary.BigEndian.AppendUint32(nil, uint32(len(p.seen))), 8)
	p.ok(err)
	_, err = p.file.Seek(0, io.SeekStart)
	p.ok(err)
	p.sum.Reset()
	_, err = io.Copy(p.sum, p.file)
	p.ok(err)
	sum := plumbing.Hash(p.sum.Sum(nil))
	_, err = p.file.Write(sum[:])
	p.ok(err)
	p.ok(p.file.Close())
	p.ok(p.index.OnFooter(sum))
	index, err := p.index.Index()
	p.ok(err)
	packs := filepath.Join(dir, "objects", "pack")
	p.ok(os.MkdirAll(packs, 0o755))
	name := filepath.Join(packs, "pack-"+sum.String())
	p.ok(os.Rename(p.file.Name(), name+".pack"))
	out, err := os.Create(name + ".idx")
	p.ok(err)
	_, err = idxfile.NewEncoder(out).Encode(index)
	p.ok(err)
	p.ok(out.Close())
	p.ok(os.WriteFile(filepath.Join(dir, "HEAD"), []byte("ref: refs/heads/main\n"), 0o644))
	p.ok(os.WriteFile(filepath.Join(dir, "config"), []byte("[core]\n\trepositoryformatversion = 0\n\tbare = true\n"), 0o644))
	var refs strings.Builder
	for branch, h := range branches {
		fmt.Fprintf(&refs, "%s refs/heads/%s\n", h, branch)
	}
	p.ok(os.MkdirAll(filepath.Join(dir, "refs"), 0o755))
	p.ok(os.WriteFile(filepath.Join(dir, "packed-refs"), []byte(refs.String()), 0o644))
}
