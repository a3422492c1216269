package postgres

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/mainstay-dev/mainstay/kb"
	"github.com/mainstay-dev/mainstay/kb/index"
)

// Update brings a source to another state.
func (e *Engine) Update(ctx context.Context, u kb.Update) error {
	if err := e.update(ctx, u); err != nil {
		return fmt.Errorf("update source %q to %q: %w", u.Source, u.To, err)
	}
	return nil
}

func (e *Engine) update(ctx context.Context, u kb.Update) error {
	if err := u.Check(); err != nil {
		return err
	}
	if u.Embed == nil {
		u.Space = ""
	}
	return e.changing(ctx, u.Source, func(ctx context.Context, t *tx) error {
		c := &change{engine: e, tx: t, update: u, ids: map[string]int64{}, standing: map[int64]int{}}
		return c.run(ctx)
	})
}

// change is an update on its way.
type change struct {
	*tx
	engine *Engine
	update kb.Update
	now    source
	// meaning is what was learned of the source before; nil for nothing.
	meaning *index.Meaning
	counter index.Counter
	// ids are the numbers of terms, and standing in how many chunks more they stand than before.
	ids      map[string]int64
	standing map[int64]int
	// waiting are documents that are written together, and chunks and bytes how much those are.
	waiting       []waiting
	chunks, bytes int
	// added is how many chunks came.
	added int
}

func (c *change) run(ctx context.Context) error {
	u := c.update
	found, err := c.sources(ctx, u.Source)
	if err != nil {
		return err
	}
	if len(found) > 0 {
		c.now = found[0]
	}
	if u.From != "" && u.From != string(c.now.state) {
		return fmt.Errorf("%w: it begins with %q, the index is in %q", kb.ErrState, u.From, c.now.state)
	}
	if len(found) == 0 {
		err := c.QueryRow(ctx, c.names.Replace(`INSERT INTO {kb}.sources (key, name, state, format, space, labels) VALUES ($1, $2, '', '', '', '{}') RETURNING id`),
			keyOf(u.Source), []byte(u.Source)).Scan(&c.now.id)
		if err != nil {
			return err
		}
	}
	if c.meaning, err = c.engine.meaning(ctx, c.tx, c.now); err != nil {
		return err
	}
	take, gone, err := c.plan(ctx)
	if err != nil {
		return err
	}
	if u.Space != string(c.now.space) {
		// Of a space that is another one there are no vectors to keep, and all chunks get new ones or none.
		if _, err := c.exec(ctx, `DELETE FROM {kb}.vectors WHERE source = $1`, c.now.id); err != nil {
			return err
		}
		c.now.dims = 0
	}
	if err := c.take(ctx, take); err != nil {
		return err
	}
	if err := c.drop(ctx, gone); err != nil {
		return err
	}
	if err := c.count(ctx); err != nil {
		return err
	}
	c.now.added += c.added
	if c.added > 0 && c.now.learned == 0 || index.Outgrown(c.now.added, c.now.learned) {
		if err := c.learn(ctx); err != nil {
			return err
		}
		c.now.learned, c.now.added = c.now.chunks, 0
	}
	labels, err := json.Marshal(u.Labels)
	if err != nil {
		return err
	}
	_, err = c.exec(ctx, `UPDATE {kb}.sources SET state = $2, format = $3, space = $4, labels = $5, chunks = $6, length = $7, learned = $8, added = $9, dims = $10
		WHERE id = $1`, c.now.id, []byte(u.To), []byte(u.Format), []byte(u.Space), labels, c.now.chunks, c.now.length, c.now.learned, c.now.added, c.now.dims)
	return err
}

// plan returns the files that are taken in, sorted by path, and the documents that are gone.
func (c *change) plan(ctx context.Context) (take []kb.File, gone []int64, err error) {
	u := c.update
	sameFormat := string(c.now.format) == u.Format
	sameSpace := u.Space == "" || u.Space == string(c.now.space)
	put, removed := make(map[string]kb.File, len(u.Put)), make(map[string]bool, len(u.Removed))
	var keys [][]byte
	for _, f := range u.Put {
		put[f.Path] = f
		keys = append(keys, keyOf(f.Path))
	}
	for _, path := range u.Removed {
		removed[path] = true
		keys = append(keys, keyOf(path))
	}
	all := u.From == "" || !sameFormat || !sameSpace
	var later []kb.File // of the same content, with another time
	var at document
	err = c.each(ctx, at.fields(), func() error {
		f, again := put[string(at.path)]
		is := at.file()
		stays := sameFormat && (sameSpace || at.chunks == 0)
		switch {
		case again && stays && f.Blob == is.Blob:
			delete(put, f.Path)
			if !f.Time.Equal(is.Time) {
				later = append(later, f)
			}
		case again || removed[is.Path] || u.From == "":
			gone = append(gone, at.id)
		case !stays:
			put[is.Path] = is
			gone = append(gone, at.id)
		}
		return nil
	}, `SELECT `+documentColumns+` FROM {kb}.documents d WHERE d.source = $1 AND ($2 OR d.key = ANY($3))`, c.now.id, all, keys)
	if err != nil {
		return nil, nil, err
	}
	for _, f := range later {
		seconds, nanos := timeOf(f.Time)
		if _, err := c.exec(ctx, `UPDATE {kb}.documents SET seconds = $3, nanos = $4 WHERE source = $1 AND key = $2`, c.now.id, keyOf(f.Path), seconds, nanos); err != nil {
			return nil, nil, err
		}
	}
	take = slices.SortedFunc(maps.Values(put), func(a, b kb.File) int { return cmp.Compare(a.Path, b.Path) })
	return take, gone, nil
}

// held are documents of the source, by content, that the files can be copied from.
func (c *change) held(ctx context.Context, files []kb.File) (map[string]document, error) {
	held := map[string]document{}
	if string(c.now.format) != c.update.Format {
		return held, nil
	}
	for some := range slices.Chunk(files, 10_000) {
		keys := make([][]byte, len(some))
		for i, f := range some {
			keys[i] = keyOf(f.Blob)
		}
		var at document
		err := c.each(ctx, at.fields(), func() error {
			held[string(at.blob)] = at
			at = document{}
			return nil
		}, `SELECT DISTINCT ON (d.blobkey) `+documentColumns+` FROM {kb}.documents d WHERE d.source = $1 AND d.blobkey = ANY($2) ORDER BY d.blobkey, d.id`, c.now.id, keys)
		if err != nil {
			return nil, err
		}
	}
	return held, nil
}

// take takes in what is new.
func (c *change) take(ctx context.Context, files []kb.File) error {
	held, err := c.held(ctx, files)
	if err != nil {
		return err
	}
	// Contents that come twice are read once.
	left := map[string]int{}
	for _, f := range files {
		left[f.Blob]++
	}
	kept := map[string]kb.Document{}
	for i, f := range files {
		if err := ctx.Err(); err != nil {
			return err
		}
		w := waiting{file: f}
		from, have := held[f.Blob]
		before, again := kept[f.Blob]
		switch {
		case have:
			w.document, err = c.document(ctx, from)
			if err == nil && c.update.Space != "" && c.update.Space == string(c.now.space) {
				w.vectors, err = collect(ctx, c.tx, func(v *string) []any { return []any{v} }, `SELECT v.vector::text FROM {kb}.vectors v
					JOIN {kb}.chunks c ON c.id = v.chunk WHERE c.document = $1 ORDER BY c.place`, from.id)
			}
		case again:
			w.document = before
		default:
			if w.document, err = c.update.Read(ctx, f); err != nil {
				err = told{fmt.Errorf("read %s: %w", f.Path, err)}
			}
		}
		if err != nil {
			return err
		}
		if left[f.Blob]--; left[f.Blob] > 0 {
			kept[f.Blob] = w.document
		} else {
			delete(kept, f.Blob)
		}
		if err := c.wait(ctx, w); err != nil {
			return err
		}
		if c.update.Progress != nil {
			c.update.Progress(i+1, len(files))
		}
	}
	return c.flush(ctx)
}

// batch is how many texts are embedded at once, at most.
const batch = 64

// embed makes the vectors of the documents that are waiting and have none.
func (c *change) embed(ctx context.Context) error {
	var texts []string
	var of []*waiting
	for i := range c.waiting {
		w := &c.waiting[i]
		if w.vectors != nil {
			continue
		}
		for _, chunk := range w.document.Chunks {
			texts, of = append(texts, w.document.Passage(chunk)), append(of, w)
		}
	}
	at := 0
	for some := range slices.Chunk(texts, batch) {
		made, err := c.update.Embed(ctx, some)
		if err == nil && len(made) != len(some) {
			err = fmt.Errorf("%d vectors were made of %d texts", len(made), len(some))
		}
		if err != nil {
			return told{fmt.Errorf("embed: %w", err)}
		}
		for _, v := range made {
			if len(v) == 0 {
				return errors.New("embed: a vector has no numbers")
			}
			if c.now.dims == 0 {
				c.now.dims = len(v)
			}
			if len(v) != c.now.dims {
				return fmt.Errorf("embed: %w", &kb.LengthError{Numbers: len(v), Others: c.now.dims})
			}
			if len(v) > maxDims {
				return fmt.Errorf("embed: a vector has %d numbers, pgvector keeps %d at most", len(v), maxDims)
			}
			for _, x := range v {
				if math.IsNaN(float64(x)) || math.IsInf(float64(x), 0) {
					return errors.New("embed: a vector has a number that is none")
				}
			}
			of[at].vectors = append(of[at].vectors, unit(v))
			at++
		}
	}
	return nil
}
