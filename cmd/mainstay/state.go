package main

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/mainstay-dev/mainstay/reconciler"
	"github.com/mainstay-dev/mainstay/reconciler/serve"
	"github.com/mainstay-dev/mainstay/reconciler/store"
	"github.com/mainstay-dev/mainstay/spec"
)

// stateRoot is the folder that holds a state folder for each watched repository.
func stateRoot() (string, error) {
	if dir := os.Getenv("XDG_STATE_HOME"); dir != "" {
		return filepath.Join(dir, "mainstay"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("choose a state folder: %w; give --state", err)
	}
	return filepath.Join(home, ".local", "state", "mainstay"), nil
}

// defaultState is the state folder of a repository.
func defaultState(repo, ref, path string) (string, error) {
	root, err := stateRoot()
	if err != nil {
		return "", err
	}
	base := strings.TrimSuffix(filepath.Base(repo), ".git")
	sum := sha256.Sum256([]byte(repo + "\x00" + ref + "\x00" + path))
	return filepath.Join(root, base+"-"+hex.EncodeToString(sum[:4])), nil
}

// claimState makes a state folder that of one branch of one repository, and refuses one that belongs to another: its runs
// and its memory of the ledger would be taken for this one's. Call it while the folder is locked.
func claimState(dir, repo, ref, folder string) error {
	file := filepath.Join(dir, "repository")
	folder = path.Clean(filepath.ToSlash(folder)) // "." is the root, however it was written.
	want := fmt.Sprintf("%s\n%s\n%s\n", repo, ref, folder)
	have, err := os.ReadFile(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		made := file + ".new" // Renamed, so that there is never half a file.
		if err := os.WriteFile(made, []byte(want), 0o600); err != nil {
			return fmt.Errorf("make the state folder: %w", err)
		}
		return os.Rename(made, file)
	case err != nil:
		return fmt.Errorf("read the state folder: %w", err)
	case string(have) == want:
		return nil
	}
	lines := append(strings.Split(string(have), "\n"), "", "", "")
	return fmt.Errorf("the state folder %s belongs to branch %s of %s, folder %s, and not to branch %s of %s, folder %s: give another --state; if the repository itself has moved, remove %s",
		dir, lines[1], lines[0], lines[2], ref, repo, folder, file)
}

// findState chooses the state folder to read: the one given, or the only one there is.
func findState(given string) (string, error) {
	if given != "" {
		if _, err := os.Stat(given); err != nil {
			return "", fmt.Errorf("no state folder at %s; `mainstay run --state %s` makes one", given, given)
		}
		return given, nil
	}
	root, err := stateRoot()
	if err != nil {
		return "", err
	}
	entries, err := os.ReadDir(root)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	var dirs []string
	for _, e := range entries {
		if e.IsDir() {
			dirs = append(dirs, filepath.Join(root, e.Name()))
		}
	}
	switch len(dirs) {
	case 0:
		return "", fmt.Errorf("nothing has run yet: no state folder in %s; start with `mainstay run --repo URL`, or give --state", root)
	case 1:
		return dirs[0], nil
	default:
		return "", usageError{fmt.Errorf("there are %d state folders; choose one with --state:\n  %s", len(dirs), strings.Join(dirs, "\n  "))}
	}
}

// maxSocketPath is what fits into a Unix socket's address on every system.
const maxSocketPath = 100

// socketPath is where the daemon of a state folder serves. A folder with a long name gets a socket in a private folder
// among the temporary files instead.
func socketPath(state string) (string, error) {
	abs, err := filepath.Abs(state)
	if err != nil {
		return "", err
	}
	if path := filepath.Join(abs, "daemon.sock"); len(path) <= maxSocketPath {
		return path, nil
	}
	sum := sha256.Sum256([]byte(abs))
	dir := filepath.Join(os.TempDir(), fmt.Sprintf("mainstay-%d", os.Getuid()))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	if info, err := os.Lstat(dir); err != nil || !info.IsDir() || info.Mode().Perm() != 0o700 || !isOwn(info) {
		return "", fmt.Errorf("%s is not a private folder of this user; choose a shorter --state", dir)
	}
	path := filepath.Join(dir, hex.EncodeToString(sum[:8])+".sock")
	if len(path) > maxSocketPath {
		return "", fmt.Errorf("the socket %s has a longer path than the %d bytes that a system allows: choose a shorter --state, or a shorter TMPDIR", path, maxSocketPath)
	}
	return path, nil
}

// reader answers questions about a state folder.
type reader struct {
	status func(ctx context.Context) (reconciler.Status, error)
	runs   func(ctx context.Context, f reconciler.RunFilter) (reconciler.RunList, error)
	costs  func(ctx context.Context, q reconciler.CostQuery) ([]reconciler.Cost, error)
	record func(ctx context.Context, run spec.RunID) ([]spec.Entry, error)
	// live says whether a daemon answers, which client asks. Else store is the folder's, open.
	live   bool
	client *serve.Client
	store  *store.Store
	close  func()
}

// openReader asks the daemon of a state folder, or reads the folder itself where no daemon runs. A daemon that is just
// starting or ending has the folder open and does not answer, which passes.
func openReader(ctx context.Context, state string) (*reader, error) {
	path, err := socketPath(state)
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(state, "store")
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s holds no state yet; `mainstay run` writes it", state)
	}
	client := serve.Dial(path)
	status := func(ctx context.Context) (s reconciler.Status, err error) { return s, client.Status(ctx, &s) }
	var st *store.Store
	err = whileLocked(ctx, func() error {
		_, err := status(ctx)
		if !errors.Is(err, serve.ErrNotServing) {
			return err
		}
		st, err = store.Open(ctx, store.Options{Dir: dir})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the state folder %s: %w", state, err)
	}
	if st == nil {
		runs := func(ctx context.Context, f reconciler.RunFilter) (list reconciler.RunList, err error) {
			return list, client.Runs(ctx, f.Query(), &list)
		}
		costs := func(ctx context.Context, q reconciler.CostQuery) (list []reconciler.Cost, err error) {
			return list, client.Costs(ctx, q.Query(), &list)
		}
		return &reader{status: status, runs: runs, costs: costs, record: client.Record, live: true, client: client, close: func() {}}, nil
	}
	return &reader{
		status: func(ctx context.Context) (reconciler.Status, error) {
			s, err := reconciler.StoredStatus(ctx, st)
			if errors.Is(err, store.ErrNotFound) {
				return s, fmt.Errorf("%s holds no state yet; `mainstay run` writes it", state)
			}
			return s, err
		},
		runs: func(ctx context.Context, f reconciler.RunFilter) (reconciler.RunList, error) {
			return reconciler.StoredRuns(ctx, st, f)
		},
		costs: func(ctx context.Context, q reconciler.CostQuery) ([]reconciler.Cost, error) {
			return reconciler.StoredCosts(ctx, st, q)
		},
		record: func(ctx context.Context, run spec.RunID) ([]spec.Entry, error) {
			entries, _, err := st.Record(ctx, run)
			if err == nil && len(entries) == 0 {
				err = fs.ErrNotExist
			}
			return entries, err
		},
		store: st,
		close: func() { _ = st.Close() }, // Every write is on the disk before it returns.
	}, nil
}

// note tells a person that the daemon cannot see the newest revision.
func (r *reader) note(s reconciler.Status, w io.Writer) {
	if r.live && len(s.Source) > 0 && !reconciler.IsReady(s.Source) {
		fmt.Fprintf(w, "note: the repository cannot be read, and what ran goes on running: %s\n", message(s.Source))
	}
	if held := heldBack(s); held != "" {
		fmt.Fprintf(w, "note: %s\n", held)
	}
	if n := unfinished(s.Runs); !r.live && n > 0 {
		fmt.Fprintf(w, "note: no daemon is running, so %s until the next one: start `mainstay run`\n", cmp.Or(map[int]string{1: "1 run waits"}[n], fmt.Sprintf("%d runs wait", n)))
	}
}

// unfinished counts the runs that a daemon would be working on.
func unfinished(list []spec.RunSummary) int {
	n := 0
	for _, s := range list {
		if s.Phase == spec.PhaseQueued || s.Phase == spec.PhaseRunning {
			n++
		}
	}
	return n
}

// heldBack says that a newer revision than the one that runs is held back, because it is broken or not signed, and why; "" where
// none is.
func heldBack(s reconciler.Status) string {
	if s.Seen == s.Applied {
		return ""
	}
	i := slices.IndexFunc(s.Revisions, func(r reconciler.RevisionStatus) bool { return r.Revision == s.Seen })
	if i < 0 || len(s.Revisions[i].Problems) == 0 || reconciler.IsReady(s.Revisions[i].Conditions) {
		return ""
	}
	why := firstLine(spec.Visible(s.Revisions[i].Problems[0]))
	if n := len(s.Revisions[i].Problems); n > 1 {
		why += fmt.Sprintf(" (the first of %d problems)", n)
	}
	runs := "nothing runs yet"
	if s.Applied != "" {
		runs = s.Applied.Short() + " goes on running"
	}
	return fmt.Sprintf("%s is held back, and %s: %s", s.Seen.Short(), runs, why)
}

// lockPatience is how long a command waits for a state folder that another one has open, since reading it takes a moment.
const lockPatience = 2 * time.Second

// whileLocked tries open again until the state folder is not locked any more, for as long as its patience lasts.
func whileLocked(ctx context.Context, open func() error) error {
	deadline := time.Now().Add(lockPatience)
	for {
		err := open()
		if _, locked := errors.AsType[*store.ErrLocked](err); !locked || time.Now().After(deadline) {
			return err
		}
		if err := sleep(ctx, 20*time.Millisecond); err != nil {
			return err
		}
	}
}

// readStatus reads the state of the folder given, or of the only one there is, and notes on stderr what is odd about it.
func readStatus(ctx context.Context, given string, stderr io.Writer) (reconciler.Status, error) {
	dir, err := findState(given)
	if err != nil {
		return reconciler.Status{}, err
	}
	r, err := openReader(ctx, dir)
	if err != nil {
		return reconciler.Status{}, err
	}
	defer r.close()
	s, err := r.status(ctx)
	if err == nil {
		r.note(s, stderr)
	}
	return s, err
}

// encodeJSON is used for -o json: indented, without HTML escapes.
func encodeJSON(v any) ([]byte, error) {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return []byte(b.String()), nil
}
