package disk

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"syscall"

	"github.com/mainstay-dev/mainstay/kb"
	"github.com/mainstay-dev/mainstay/kb/index"
	"github.com/mainstay-dev/mainstay/kb/vectors"
)

// Update brings a source to another state. What it needs in memory is a few times the text that is new.
func (e *Engine) Update(ctx context.Context, u kb.Update) error {
	err := e.update(ctx, u)
	switch {
	case errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT):
		return &kb.FullError{Folder: e.folder, Err: err}
	case err != nil:
		return fmt.Errorf("update source %q: %w", u.Source, err)
	}
	return nil
}

func (e *Engine) update(ctx context.Context, u kb.Update) error {
	if err := u.Check(); err != nil {
		return err
	}
	ctx, done, err := e.change(ctx, u.Source)
	if err != nil {
		return err
	}
	defer done()
	now, err := e.hold(u.Source)
	if err != nil {
		return err
	}
	if now == nil {
		now = &source{}
		now.held.Store(1)
	}
	defer func() { now.release() }()
	if u.From != "" && u.From != now.State {
		return fmt.Errorf("%w: it begins with %q, the index is in %q", kb.ErrState, u.From, now.State)
	}
	if u.Embed == nil {
		u.Space = ""
	}
	c := &change{engine: e, update: u, now: now, of: manifest{Source: u.Source, State: u.To, Format: u.Format, Space: u.Space,
		Labels: maps.Clone(u.Labels), Next: now.Next, Meaning: now.Meaning, Learned: now.Learned, Added: now.Added}}
	c.to = e.fresh(&c.of, "segment")
	if err := c.take(ctx); err != nil {
		c.to.drop()
		if cause := context.Cause(ctx); cause != nil && !errors.Is(err, cause) {
			err = fmt.Errorf("%w: %w", cause, err)
		}
		return err
	}
	next, err := c.commit(ctx)
	if err != nil {
		return err
	}
	now.release()
	now = next
	// From here on the update is searched. What follows makes it faster only, and is done with the next one if it fails now.
	for ctx.Err() == nil {
		next, err := e.merge(ctx, now)
		if err != nil || next == nil {
			break
		}
		now.release()
		now = next
	}
	return nil
}

// change is an update on its way.
type change struct {
	engine *Engine
	update kb.Update
	now    *source
	of     manifest
	// gone are the documents that are no more, by segment, and taken those that are new.
	gone  [][]int
	taken *index.Writer
	to    *fresh // what taken writes to
	taker *taker // what takes them in
	// waiting are documents that need vectors, and dims is how long those are; 0 before there is one.
	waiting []waiting
	chunks  int
	dims    int
}

// waiting is a document before it is in a segment.
type waiting struct {
	file     kb.File
	document kb.Document
}

// large is how many chunks a segment has whose writing takes memory that is worth to be given back at once.
const large = 10_000

// batch is how many texts are embedded at once, at most.
const batch = 64

// fits reports whether the chunks of a segment have the vectors that they are to have. What the source was without vectors after is made
// again: it may have another length.
func (c *change) fits(l *index.Live) bool {
	return c.update.Space == "" || c.now.Space == c.update.Space && l.Space() == c.update.Space
}

// plan finds what is gone, and returns the files that are taken in, sorted by path.
func (c *change) plan() []kb.File {
	u, now := c.update, c.now
	put := make(map[string]kb.File, len(u.Put))
	for _, f := range u.Put {
		put[f.Path] = f
	}
	c.gone = make([][]int, len(now.live))
	drop := func(p place) { c.gone[p.segment] = append(c.gone[p.segment], p.entry) }
	stays := func(p place) bool {
		l := now.live[p.segment]
		return now.Format == u.Format && (c.fits(l) || l.Entries()[p.entry].Begin == l.Entries()[p.entry].End)
	}
	for _, path := range u.Removed {
		if _, again := put[path]; again {
			continue
		}
		if p, ok := now.find(path); ok {
			drop(p)
		}
	}
	removed := make(map[string]bool, len(u.Removed))
	for _, path := range u.Removed {
		removed[path] = true
	}
	for i, l := range now.live {
		if u.From != "" && now.Format == u.Format && c.fits(l) {
			continue
		}
		for entry, d := range l.Entries() {
			_, again := put[d.File.Path]
			switch p := (place{i, entry}); {
			case l.Gone(entry) || again || removed[d.File.Path] && u.From != "":
			case u.From == "":
				if !removed[d.File.Path] {
					drop(p)
				}
			case !stays(p):
				put[d.File.Path] = d.File
			}
		}
	}
	var take []kb.File
	for _, f := range put {
		p, ok := now.find(f.Path)
		if ok {
			if is := now.entry(p).File; is.Blob == f.Blob && is.Time.Equal(f.Time) && stays(p) {
				continue
			}
			drop(p)
		}
		take = append(take, f)
	}
	slices.SortFunc(take, func(a, b kb.File) int { return cmp.Compare(a.Path, b.Path) })
	return take
}

// take takes in what is new.
func (c *change) take(ctx context.Context) error {
	c.taken = index.NewWriter(c.update.Space, c.to)
	ctx, c.taker = take(ctx, c.taken)
	err := c.readAll(ctx)
	c.taker.end()
	return cmp.Or(c.taken.Err(), err)
}

// readAll reads what is new, and hands it to the taker.
func (c *change) readAll(ctx context.Context) error {
	files := c.plan()
	if c.now.Space == c.update.Space {
		c.dims = c.now.dims()
	}
	copiers := make([]*index.Copier, len(c.now.live))
	// Contents that come twice are read once.
	read := map[string]int{}
	repeated := map[string]int{}
	for _, f := range files {
		repeated[f.Blob]++
	}
	kept := map[string]kb.Document{}
	for i, f := range files {
		if err := ctx.Err(); err != nil {
			return err
		}
		var d kb.Document
		held, ok := c.now.findBlob(f.Blob)
		same := ok && c.now.Format == c.update.Format
		before, again := kept[f.Blob]
		switch {
		case same:
			l := c.now.live[held.segment]
			if c.fits(l) {
				if copiers[held.segment] == nil {
					copiers[held.segment] = c.taken.Copier(l.Segment)
				}
				if err := c.flush(ctx); err != nil {
					return err
				}
				c.taker.then(func() { copiers[held.segment].Copy(held.entry, f) })
				c.progress(i+1, len(files))
				continue
			}
			d = l.Document(held.entry)
		case again:
			d = before
		default:
			var err error
			if d, err = c.update.Read(ctx, f); err != nil {
				return fmt.Errorf("read %s: %w", f.Path, err)
			}
		}
		read[f.Blob]++
		if repeated[f.Blob] > read[f.Blob] {
			kept[f.Blob] = d
		} else {
			delete(kept, f.Blob)
		}
		c.waiting, c.chunks = append(c.waiting, waiting{file: f, document: d}), c.chunks+len(d.Chunks)
		if c.update.Space == "" || c.chunks >= batch {
			if err := c.flush(ctx); err != nil {
				return err
			}
		}
		c.progress(i+1, len(files))
	}
	return c.flush(ctx)
}

func (c *change) progress(done, of int) {
	if c.update.Progress != nil {
		c.update.Progress(done, of)
	}
}

// flush takes in the documents that are waiting.
func (c *change) flush(ctx context.Context) error {
	var vectors [][]float32
	if c.update.Space != "" {
		var err error
		if vectors, err = c.embed(ctx); err != nil {
			return err
		}
	}
	for _, w := range c.waiting {
		n := 0
		if vectors != nil {
			n = len(w.document.Chunks)
		}
		own := vectors[:n]
		c.taker.then(func() { c.taken.Add(w.file, w.document, own) })
		vectors = vectors[n:]
	}
	c.waiting, c.chunks = c.waiting[:0], 0
	return nil
}

// embed makes the vectors of the chunks that are waiting.
func (c *change) embed(ctx context.Context) ([][]float32, error) {
	var texts []string
	for _, w := range c.waiting {
		for _, chunk := range w.document.Chunks {
			texts = append(texts, w.document.Passage(chunk))
		}
	}
	var embedded [][]float32
	for some := range slices.Chunk(texts, batch) {
		made, err := c.update.Embed(ctx, some)
		if err != nil {
			return nil, fmt.Errorf("embed: %w", err)
		}
		if len(made) != len(some) {
			return nil, fmt.Errorf("embed: %d vectors were made of %d texts", len(made), len(some))
		}
		for _, v := range made {
			if len(v) == 0 {
				return nil, errors.New("embed: a vector has no numbers")
			}
			if c.dims == 0 {
				c.dims = len(v)
			}
			if len(v) != c.dims {
				return nil, fmt.Errorf("embed: %w", &kb.LengthError{Numbers: len(v), Others: c.dims})
			}
			if len(v) > vectors.MaxDims {
				return nil, fmt.Errorf("embed: a vector has %d numbers, they have %d at most", len(v), vectors.MaxDims)
			}
			for _, x := range v {
				if math.IsNaN(float64(x)) || math.IsInf(float64(x), 0) {
					return nil, errors.New("embed: a vector has a number that is none")
				}
			}
		}
		embedded = append(embedded, made...)
	}
	return embedded, nil
}

// commit writes what was taken in, and makes the new state the source's. It returns that, held.
func (c *change) commit(ctx context.Context) (*source, error) {
	next := &source{manifest: c.of, meaning: c.now.meaning}
	meaning := c.now.meaning
	var files []made
	if c.taken.Documents() > 0 {
		next.Added += c.taken.Chunks()
		if c.now.Learned == 0 {
			// Nothing is known yet, so there is nothing that the chunks could be placed in. What there was is taken in as well.
			for i, l := range c.now.live {
				copier, left := c.taken.Copier(l.Segment), l.Without(c.gone[i])
				for entry, d := range l.Entries() {
					if !left.Gone(entry) {
						copier.Copy(entry, d.File)
						c.gone[i] = append(c.gone[i], entry)
					}
				}
			}
			meaning = c.taken.Learn()
			next.Learned, next.Added = c.taken.Chunks(), 0
			next.meaning, next.Meaning = meaning, nil
			if meaning != nil {
				files = append(files, made{to: c.engine.fresh(&next.manifest, "meaning"), meaning: meaning})
			}
		}
		files = append(files, made{to: c.to, segment: c.taken, meaning: meaning})
	}
	for i, l := range c.now.live {
		if l = l.Without(c.gone[i]); l.Documents() > 0 {
			next.live = append(next.live, l)
			next.Segments = append(next.Segments, withGone(c.now.Segments[i], l))
		}
	}
	if err := context.Cause(ctx); err != nil {
		c.to.drop()
		return nil, err
	}
	c.taken = nil // Its memory is free when the segment is written.
	return c.engine.write(c.now, next, files)
}

func withGone(p part, l *index.Live) part {
	p.Gone = nil
	if l.Dead() > 0 || l.Documents() < len(l.Entries()) {
		p.Gone = l.GoneBits()
	}
	return p
}

// fresh is a file that a source will have.
func (e *Engine) fresh(of *manifest, kind string) *fresh {
	name := fmt.Sprintf("%d.%s", of.Next, kind)
	of.Next++
	return &fresh{storage: e.storage, folder: filepath.Join(e.folder, sourcesName, folderOf(of.Source)), name: name}
}

// made is a file that is written to its end: a segment, whose chunks get their places in a meaning, or that itself.
type made struct {
	to      *fresh
	segment *index.Writer // nil for a meaning
	meaning *index.Meaning
}

func (m *made) write() (part, error) {
	var is index.Written
	var err error
	if m.segment != nil {
		is, err = m.segment.Build(m.meaning)
	} else {
		is = index.Written{Size: len(m.meaning.File()), Checksum: index.Checksum(m.meaning.File())}
		_, err = m.to.Write(m.meaning.File())
	}
	if err != nil {
		return part{}, err
	}
	return part{File: m.to.name, Size: is.Size, Checksum: is.Checksum}, m.to.close()
}

// write writes files that are new and the manifest that names them, and publishes the state. It returns that, held. Where it fails, the
// source is as it was.
func (e *Engine) write(now, next *source, files []made) (*source, error) {
	next.held.Store(1)
	err := e.finish(now, next, files)
	if err != nil {
		next.release()
		for _, f := range files {
			f.to.drop()
		}
		return nil, err
	}
	next.hold()
	e.publish(next.Source, next)
	for _, f := range now.files {
		if !next.names(f.name) {
			// If not now, when the index is opened again.
			_ = e.storage.Remove(filepath.Join(e.folder, sourcesName, folderOf(next.Source), f.name))
		}
	}
	return next, nil
}

// finish writes files and the manifest.
func (e *Engine) finish(now, next *source, files []made) error {
	folder := filepath.Join(e.folder, sourcesName, folderOf(next.Source))
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	for i := range files {
		f := &files[i]
		isSegment, chunks := f.segment != nil, 0
		if isSegment {
			chunks = f.segment.Chunks()
		}
		p, err := f.write()
		if err != nil {
			return err
		}
		if f.segment = nil; chunks >= large {
			debug.FreeOSMemory() // What was needed for it is seldom needed again, and the file takes its place in memory.
		}
		m, err := load(folder, p.File)
		if err != nil {
			return err
		}
		next.files = append(next.files, m)
		if isSegment {
			var s *index.Segment
			if s, err = index.Open(m.data); err == nil {
				next.live, next.Segments = append(next.live, index.All(s)), append(next.Segments, p)
			}
		} else {
			next.meaning, err = index.OpenMeaning(m.data)
			next.Meaning = &p
		}
		if err != nil {
			return fmt.Errorf("read back %s: %w", p.File, err)
		}
	}
	for _, f := range now.files {
		if next.names(f.name) && !slices.ContainsFunc(next.files, func(is *mapped) bool { return is.name == f.name }) {
			f.hold()
			next.files = append(next.files, f)
		}
	}
	return e.writeManifest(folder, next)
}

// writeManifest is the step with which a state is reached: before the rename it is the former one, and after it the new one.
func (e *Engine) writeManifest(folder string, next *source) error {
	b, err := next.encode()
	if err != nil {
		return err
	}
	next.size = len(b)
	aside, name := filepath.Join(folder, asideName), filepath.Join(folder, manifestName)
	to := &fresh{storage: e.storage, folder: folder, name: asideName}
	if _, err = to.Write(b); err == nil {
		err = to.close()
	}
	if err != nil {
		to.drop()
		return err
	}
	if err := e.storage.Sync(folder); err != nil {
		return err
	}
	if err := e.storage.Rename(aside, name); err != nil {
		return err
	}
	// The state is reached. Where the folder cannot be synced, it may be the former one after a crash, which is whole as well.
	_ = e.storage.Sync(folder)
	_ = e.storage.Sync(filepath.Dir(folder))
	return nil
}

// names reports whether a file is one of the state.
func (s *source) names(file string) bool {
	return s.manifest.Meaning != nil && s.manifest.Meaning.File == file ||
		slices.ContainsFunc(s.Segments, func(p part) bool { return p.File == file })
}
