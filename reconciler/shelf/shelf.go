// Package shelf keeps the records of waiting runs on the remote's orphan branch mainstay/runs, so that a reconciler
// without lasting state can resume them.
//
// It keeps one compressed file for each run, and for each trigger how far it has come. A file counts only if the commit
// that last changed it is signed with a trusted key; others are passed over and reported. It never changes a record, and
// never decides which of two is right: the last one put there is the one that is there.
package shelf

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/mainstay-dev/mainstay/reconciler/remote"
	"github.com/mainstay-dev/mainstay/spec"
)

// Branch is the branch of the records.
const Branch = "mainstay/runs"

// The limits of a shelf.
const (
	// MaxRecord bounds one run's record, in bytes, compressed. Uncompressed it may be 16 times as large.
	MaxRecord = 4 << 20
	// MaxTotal bounds all records together, in bytes, compressed.
	MaxTotal = 64 << 20
	// MaxFiles bounds the runs and triggers together.
	MaxFiles = 2_000

	maxPosition = 4 << 10
	maxCommits  = 200_000
	maxMoved    = 50
)

// ErrTooLarge means that something does not fit on the shelf.
var ErrTooLarge = errors.New("too large to be kept on " + Branch)

// ErrNotFound means that there is no record of a run that counts.
var ErrNotFound = errors.New("no record of the run is kept on " + Branch)

// Options are what [New] needs. All fields are required.
type Options struct {
	Remote *remote.Remote
	// Trusted returns the keys whose signature makes a file count.
	Trusted func() ([]spec.Key, error)
	// Signer signs what this process puts there, and Name and Email are its author.
	Signer      *remote.Signer
	Name, Email string
	Now         func() time.Time
}

// Shelf is the branch mainstay/runs. It keeps nothing in memory, and is safe for concurrent use.
type Shelf struct{ opts Options }

// New returns a shelf. It reads nothing yet.
func New(opts Options) *Shelf { return &Shelf{opts: opts} }

// Position is how far a trigger has come: the last revision it looked at, or the last time it was due.
type Position struct {
	Revision spec.Revision `json:"revision,omitempty"`
	At       time.Time     `json:"at"`
}

// Contents are all that counts.
type Contents struct {
	// Runs are the runs that have a record, sorted.
	Runs []spec.RunID
	// Triggers are keyed by name.
	Triggers map[string]Position
	// Ignored says in one sentence for each file that does not count why.
	Ignored []string
}

// Changes are what [Shelf.Sync] does in one commit. A run in both Put and Remove is an error.
type Changes struct {
	// Put sets the whole record of each run.
	Put map[spec.RunID][]spec.Entry
	// Remove takes runs off; one that is not there is no error.
	Remove []spec.RunID
	// Triggers sets positions.
	Triggers map[string]Position
	// Forget takes triggers off.
	Forget []string
}

// List returns what is on the shelf.
func (s *Shelf) List(ctx context.Context) (Contents, error) {
	v, err := s.look(ctx)
	if err != nil {
		return Contents{}, fmt.Errorf("list the runs on %s: %w", Branch, err)
	}
	c := Contents{Triggers: map[string]Position{}, Ignored: v.ignored}
	for _, name := range slices.Sorted(maps.Keys(v.files)) {
		run, trigger, _ := parsePath(name)
		if run != "" {
			c.Runs = append(c.Runs, run)
			continue
		}
		p, err := v.position(name)
		if err != nil {
			c.Ignored = append(c.Ignored, err.Error())
			continue
		}
		c.Triggers[trigger] = p
	}
	return c, nil
}

// Get returns the record of a run. The error has [ErrNotFound].
func (s *Shelf) Get(ctx context.Context, run spec.RunID) ([]spec.Entry, error) {
	entries, err := s.get(ctx, run)
	if err != nil {
		return nil, fmt.Errorf("get run %s: %w", run, err)
	}
	return entries, nil
}

func (s *Shelf) get(ctx context.Context, run spec.RunID) ([]spec.Entry, error) {
	name, err := runPath(run)
	if err != nil {
		return nil, err
	}
	v, err := s.look(ctx)
	if err != nil {
		return nil, err
	}
	if _, ok := v.files[name]; !ok {
		return nil, ErrNotFound
	}
	b, err := v.tree.ReadFile(name)
	if err != nil {
		return nil, err
	}
	entries, err := unpack(b)
	if err == nil && entries[0].Task.Run != run {
		err = fmt.Errorf("the record is that of run %s", entries[0].Task.Run)
	}
	return entries, err
}

// Put sets the whole record of a run.
func (s *Shelf) Put(ctx context.Context, run spec.RunID, entries []spec.Entry) error {
	return s.Sync(ctx, Changes{Put: map[spec.RunID][]spec.Entry{run: entries}})
}

// Remove takes a run off.
func (s *Shelf) Remove(ctx context.Context, run spec.RunID) error {
	return s.Sync(ctx, Changes{Remove: []spec.RunID{run}})
}

// Sync makes all changes in one signed commit, or none where nothing would change. The error has [ErrTooLarge] where they
// do not fit; then nothing is changed.
func (s *Shelf) Sync(ctx context.Context, c Changes) error {
	if err := s.sync(ctx, c); err != nil {
		return fmt.Errorf("write the runs to %s: %w", Branch, err)
	}
	return nil
}

func (s *Shelf) sync(ctx context.Context, c Changes) error {
	wanted, err := c.files()
	if err != nil || len(wanted) == 0 {
		return err
	}
	var moved error
	for range maxMoved {
		v, err := s.look(ctx)
		if err != nil {
			return err
		}
		edits, again, err := v.edits(wanted)
		if err != nil || len(edits) == 0 {
			return err
		}
		draft := remote.CommitDraft{
			Edits: edits, Message: message(c), AuthorName: s.opts.Name, AuthorEmail: s.opts.Email,
			When: s.opts.Now().UTC(), Signer: s.opts.Signer,
		}
		if v.tip != "" {
			draft.Base, draft.Parents = v.tip, []string{v.tip}
		}
		id, err := s.opts.Remote.WriteCommit(draft)
		if err != nil {
			return err
		}
		err = s.opts.Remote.Push(ctx, Branch, v.tip, id)
		if err == nil && again {
			continue
		}
		if !errors.Is(err, remote.ErrMoved) {
			return err
		}
		moved = err
	}
	return moved
}

func message(c Changes) string {
	var did []string
	for _, run := range slices.Sorted(maps.Keys(c.Put)) {
		did = append(did, "keep "+string(run))
	}
	for _, run := range slices.Sorted(slices.Values(c.Remove)) {
		did = append(did, "remove "+string(run))
	}
	if n := len(c.Triggers) + len(c.Forget); n > 0 {
		did = append(did, fmt.Sprintf("move %d triggers", n))
	}
	return "Waiting runs: " + did[0] + more(len(did)-1) + "\n\n" + strings.Join(did, "\n")
}

func more(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(" and %d more", n)
}

// files returns the content that each changed path gets; nil removes it.
func (c Changes) files() (map[string][]byte, error) {
	files := map[string][]byte{}
	for _, run := range c.Remove {
		name, err := runPath(run)
		if err != nil {
			return nil, err
		}
		files[name] = nil
	}
	for run, entries := range c.Put {
		name, err := runPath(run)
		if err != nil {
			return nil, err
		}
		if _, twice := files[name]; twice {
			return nil, fmt.Errorf("run %s is both put and removed", run)
		}
		if files[name], err = pack(entries); err != nil {
			return nil, fmt.Errorf("run %s: %w", run, err)
		}
	}
	for _, trigger := range c.Forget {
		name, err := triggerPath(trigger)
		if err != nil {
			return nil, err
		}
		files[name] = nil
	}
	for trigger, p := range c.Triggers {
		name, err := triggerPath(trigger)
		if err != nil {
			return nil, err
		}
		p.At = p.At.UTC()
		b, err := json.Marshal(p)
		if err != nil {
			return nil, fmt.Errorf("trigger %s: %w", trigger, err)
		}
		files[name] = append(b, '\n')
	}
	return files, nil
}

var runRE = regexp.MustCompile(`^[0-9a-hjkmnp-tv-z]{26}$`)

func runPath(run spec.RunID) (string, error) {
	if !runRE.MatchString(string(run)) {
		return "", fmt.Errorf("%q is not a run", run)
	}
	return path.Join("runs", string(run)+".jsonl.gz"), nil
}

func triggerPath(trigger string) (string, error) {
	if err := spec.CheckName(trigger); err != nil {
		return "", fmt.Errorf("trigger: %w", err)
	}
	return path.Join("triggers", trigger+".json"), nil
}

// parsePath is the opposite of runPath and triggerPath.
func parsePath(name string) (run spec.RunID, trigger string, ok bool) {
	folder, file := path.Split(name)
	switch folder {
	case "runs/":
		run = spec.RunID(strings.TrimSuffix(file, ".jsonl.gz"))
		want, err := runPath(run)
		return run, "", err == nil && want == name
	case "triggers/":
		trigger = strings.TrimSuffix(file, ".json")
		want, err := triggerPath(trigger)
		return "", trigger, err == nil && want == name
	}
	return "", "", false
}

// list returns the files of the branch that are at a path of the shelf, with their objects, and the others' paths.
func list(tree *remote.Snapshot) (files map[string]fs.FileInfo, others []string, err error) {
	files = map[string]fs.FileInfo{}
	for _, folder := range []string{"runs", "triggers"} {
		entries, err := tree.ReadDir(folder)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, nil, err
		}
		for _, e := range entries {
			name := path.Join(folder, e.Name())
			if _, _, ok := parsePath(name); !ok || !e.Type().IsRegular() {
				others = append(others, name)
				continue
			}
			if files[name], err = e.Info(); err != nil {
				return nil, nil, err
			}
		}
	}
	return files, others, nil
}
