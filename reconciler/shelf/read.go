package shelf

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"

	"github.com/mainstay-dev/mainstay/reconciler/remote"
	"github.com/mainstay-dev/mainstay/spec"
)

// view is the branch as one fetch has shown it.
type view struct {
	tip  string // "" where there is no branch
	tree *remote.Snapshot
	// files count; others are at a path of the shelf and do not.
	files   map[string]fs.FileInfo
	others  map[string]fs.FileInfo
	ignored []string
}

func (s *Shelf) look(ctx context.Context) (view, error) {
	branches, err := s.opts.Remote.Fetch(ctx)
	if err != nil {
		return view{}, err
	}
	v := view{tip: branches[Branch], files: map[string]fs.FileInfo{}, others: map[string]fs.FileInfo{}}
	if v.tip == "" {
		return v, nil
	}
	if v.tree, err = s.opts.Remote.Snapshot(v.tip); err != nil {
		return view{}, err
	}
	files, strange, err := list(v.tree)
	if err != nil {
		return view{}, err
	}
	for _, name := range strange {
		v.ignored = append(v.ignored, fmt.Sprintf("%s is no record of a run or trigger", name))
	}
	keys, err := s.opts.Trusted()
	if err != nil {
		return view{}, err
	}
	return v, s.sort(ctx, &v, files, keys)
}

// sort finds the commit that last changed each file, walking back only until all are found, and checks who signed it.
func (s *Shelf) sort(ctx context.Context, v *view, left map[string]fs.FileInfo, keys []spec.Key) error {
	n := 0
	for c, err := range s.opts.Remote.FirstParents(v.tip) {
		if err != nil {
			return err
		}
		if len(left) == 0 {
			break
		}
		if n++; n > maxCommits {
			break
		}
		parent := ""
		if len(c.Parents) > 0 {
			parent = c.Parents[0]
		}
		changed, err := s.opts.Remote.Changed(ctx, parent, c.ID)
		if err != nil {
			return err
		}
		_, unsigned := remote.VerifyCommit(c, keys)
		for _, name := range changed {
			info, ok := left[name]
			if !ok {
				continue
			}
			delete(left, name)
			switch {
			case unsigned != nil:
				v.others[name] = info
				v.ignored = append(v.ignored, fmt.Sprintf("%s does not count: %v", name, unsigned))
			case info.Size() > limit(name):
				v.others[name] = info
				v.ignored = append(v.ignored, fmt.Sprintf("%s does not count: it has %d bytes", name, info.Size()))
			default:
				v.files[name] = info
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(left)) {
		v.others[name] = left[name]
		v.ignored = append(v.ignored, fmt.Sprintf("%s does not count: it is older than %d commits", name, maxCommits))
	}
	slices.Sort(v.ignored)
	return nil
}

func limit(name string) int64 {
	if run, _, _ := parsePath(name); run != "" {
		return MaxRecord
	}
	return maxPosition
}

// edits returns what has to change for the wanted files to be there, and checks the limits of the whole. A file that is
// there with the same bytes and does not count has to be removed first, since a commit that changes nothing would not
// make it count; again says that the file itself has to follow in a second commit.
func (v view) edits(wanted map[string][]byte) (edits []spec.FileEdit, again bool, err error) {
	total, count := int64(0), 0
	for _, files := range []map[string]fs.FileInfo{v.files, v.others} {
		for name, info := range files {
			if _, changes := wanted[name]; !changes {
				total += info.Size()
				count++
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(wanted)) {
		content := wanted[name]
		_, counts := v.files[name]
		_, ignored := v.others[name]
		if content == nil {
			if counts || ignored {
				edits = append(edits, spec.FileEdit{Path: name, Remove: true})
			}
			continue
		}
		total += int64(len(content))
		count++
		if counts || ignored {
			old, err := v.tree.ReadFile(name)
			if err != nil {
				return nil, false, err
			}
			if bytes.Equal(old, content) {
				if !counts {
					again = true
					edits = append(edits, spec.FileEdit{Path: name, Remove: true})
				}
				continue
			}
		}
		edits = append(edits, spec.FileEdit{Path: name, Content: string(content)})
	}
	if total > MaxTotal || count > MaxFiles {
		return nil, false, fmt.Errorf("%w: %d files with %d bytes, and the limits are %d and %d: decide about open proposals, so that runs can finish",
			ErrTooLarge, count, total, MaxFiles, MaxTotal)
	}
	return edits, again, nil
}

func (v view) position(name string) (Position, error) {
	var p Position
	b, err := v.tree.ReadFile(name)
	if err == nil {
		err = json.Unmarshal(b, &p)
	}
	if err != nil {
		return p, fmt.Errorf("%s does not count: %w", name, err)
	}
	return p, nil
}

// maxUnpacked bounds a record when it is unpacked, in bytes.
const maxUnpacked = 16 * MaxRecord

// pack writes entries as compressed JSON lines. The same entries are always the same bytes.
func pack(entries []spec.Entry) ([]byte, error) {
	if len(entries) == 0 {
		return nil, errors.New("its record is empty")
	}
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	out := &counted{w: w}
	e := json.NewEncoder(out)
	for _, entry := range entries {
		if err := e.Encode(entry); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	if b.Len() > MaxRecord || out.n > maxUnpacked {
		return nil, fmt.Errorf("%w: its record has %d bytes, %d compressed, and the limits are %d and %d", ErrTooLarge, out.n, b.Len(), maxUnpacked, MaxRecord)
	}
	return b.Bytes(), nil
}

type counted struct {
	w io.Writer
	n int
}

func (c *counted) Write(p []byte) (int, error) {
	c.n += len(p)
	return c.w.Write(p)
}

// unpack is the opposite of pack.
func unpack(b []byte) ([]spec.Entry, error) {
	r, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		return nil, fmt.Errorf("the record is not compressed with gzip: %w", err)
	}
	in := &io.LimitedReader{R: r, N: maxUnpacked + 1}
	d := json.NewDecoder(in)
	var entries []spec.Entry
	for {
		var e spec.Entry
		err := d.Decode(&e)
		if errors.Is(err, io.EOF) && in.N > 0 {
			break
		}
		if in.N <= 0 {
			return nil, fmt.Errorf("the record: %w: more than %d bytes unpacked", ErrTooLarge, maxUnpacked)
		}
		if err != nil {
			return nil, fmt.Errorf("the record, entry %d: %w", len(entries)+1, err)
		}
		entries = append(entries, e)
	}
	if len(entries) == 0 || entries[0].Type != spec.EntryTask || entries[0].Task == nil {
		return nil, errors.New("the record does not begin with a task")
	}
	return entries, nil
}
