package cluster

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// MaxFile is the largest state file that is read, in bytes.
const MaxFile = 4 << 20

// MaxJournal is how many of the newest journal entries are kept.
const MaxJournal = 1000

// State is the content of the state file.
type State struct {
	Deployments []Deployment `json:"deployments"`
	Advisories  []Advisory   `json:"advisories"`
	// Journal lists every change ever made, oldest first, cut to [MaxJournal] entries.
	Journal []Change `json:"journal"`
}

// Workload names a deployment.
type Workload struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
}

// String returns the form that people type: `shop/checkout`.
func (w Workload) String() string { return w.Namespace + "/" + w.Name }

// Deployment is a running workload.
type Deployment struct {
	Workload
	Image    string `json:"image"`
	Replicas int    `json:"replicas"`
	Ready    int    `json:"ready"`
	Restarts int    `json:"restarts"`
	// RestartedAt is the time of the last restart in RFC 3339, or empty.
	RestartedAt string `json:"restartedAt,omitempty"`
}

// Advisory says that some tags of an image should not run.
type Advisory struct {
	ID       string `json:"id"`
	Severity string `json:"severity"`
	Title    string `json:"title"`
	// Repository is the image without its tag; Affected are the tags it is about, FixedIn the first good one.
	Repository string   `json:"repository"`
	Affected   []string `json:"affected"`
	FixedIn    string   `json:"fixedIn"`
	// Restart are workloads that keep the fault in memory after the image is replaced, until they are restarted.
	Restart []Workload `json:"restart"`
}

// Change is one entry of the journal.
type Change struct {
	Tool string `json:"tool"`
	Workload
	// Key is what the caller sent as [MetaKey], or empty.
	Key string `json:"key,omitempty"`
	At  string `json:"at"`
}

// Cluster is a state file.
type Cluster struct {
	path string
	now  func() time.Time
}

// Open returns the cluster whose state is the JSON file at path. The file is made, with [Default], when it is first
// needed. Times in it come from now.
func Open(path string, now func() time.Time) *Cluster { return &Cluster{path: path, now: now} }

// Default is the shop of the quickstart, as its manifests describe it.
func Default() State {
	deployment := func(name, tag string, replicas int) Deployment {
		return Deployment{
			Workload: Workload{Namespace: "shop", Name: name},
			Image:    "registry.example.com/shop/" + name + ":" + tag,
			Replicas: replicas, Ready: replicas,
		}
	}
	return State{
		Deployments: []Deployment{
			deployment("catalog", "2.3.0", 2),
			deployment("checkout", "1.4.2", 2),
			deployment("frontend", "3.1.5", 3),
		},
		Advisories: []Advisory{{
			ID:         "ADV-2026-0142",
			Severity:   "high",
			Title:      "checkout writes the key that signs sessions to its log",
			Repository: "registry.example.com/shop/checkout",
			Affected:   []string{"1.4.0", "1.4.1", "1.4.2"},
			FixedIn:    "1.4.3",
			Restart:    []Workload{{Namespace: "shop", Name: "frontend"}},
		}},
		Journal: []Change{},
	}
}

// Advisories returns the advisories about image, which is a repository and a tag such as
// `registry.example.com/shop/checkout:1.4.2`. The result is never nil.
func (c *Cluster) Advisories(image string) ([]Advisory, error) {
	found := []Advisory{}
	repository, tag := cutTag(image)
	err := c.locked(func(s *State) (bool, error) {
		for _, a := range s.Advisories {
			if a.Repository == repository && slices.Contains(a.Affected, tag) {
				found = append(found, a)
			}
		}
		return false, nil
	})
	return found, err
}

// cutTag splits an image at the colon of its tag. A colon before the last slash belongs to a registry's port.
func cutTag(image string) (repository, tag string) {
	i := strings.LastIndexByte(image, ':')
	if i < strings.LastIndexByte(image, '/') || i < 0 {
		return image, "latest"
	}
	return image[:i], image[i+1:]
}

// Deployment returns one deployment, or an error that names the ones there are.
func (c *Cluster) Deployment(w Workload) (Deployment, error) {
	var found Deployment
	err := c.locked(func(s *State) (bool, error) {
		d, err := s.deployment(w)
		if err == nil {
			found = *d
		}
		return false, err
	})
	return found, err
}

// Restart restarts a deployment and writes the change into the journal, with the caller's key. It does so at every
// call, even with a key seen before: that an approved action runs once is the caller's promise, and here is where it
// shows.
func (c *Cluster) Restart(w Workload, key string) (Deployment, error) {
	var after Deployment
	err := c.locked(func(s *State) (bool, error) {
		d, err := s.deployment(w)
		if err != nil {
			return false, err
		}
		at := c.now().UTC().Format(time.RFC3339)
		d.Restarts++
		d.RestartedAt = at
		after = *d
		s.Journal = append(s.Journal, Change{Tool: ToolRestart, Workload: w, Key: key, At: at})
		if extra := len(s.Journal) - MaxJournal; extra > 0 {
			s.Journal = s.Journal[extra:]
		}
		return true, nil
	})
	return after, err
}

func (s *State) deployment(w Workload) (*Deployment, error) {
	var known []string
	for i := range s.Deployments {
		if s.Deployments[i].Workload == w {
			return &s.Deployments[i], nil
		}
		known = append(known, s.Deployments[i].String())
	}
	return nil, fmt.Errorf("no deployment %s in this cluster (there are: %s)", w, strings.Join(known, ", "))
}

// locked calls f on the state while no other process or goroutine has it, and keeps what f changed when f says so.
func (c *Cluster) locked(f func(*State) (changed bool, err error)) error {
	// The lock is a file of its own, because the state file is replaced by every update.
	lock, err := os.OpenFile(c.path+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("open the lock of the cluster: %w", err)
	}
	defer lock.Close() // which releases the lock
	for {
		err = unix.Flock(int(lock.Fd()), unix.LOCK_EX)
		if err == nil {
			break
		}
		if !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("lock the cluster: %w", err)
		}
	}
	s, fresh, err := c.read()
	if err != nil {
		return err
	}
	changed, err := f(s)
	if err != nil || !(changed || fresh) {
		return err
	}
	return c.write(s)
}

func (c *Cluster) read() (s *State, fresh bool, err error) {
	f, err := os.Open(c.path)
	if errors.Is(err, fs.ErrNotExist) {
		state := Default()
		return &state, true, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("open the cluster: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, MaxFile+1))
	if err != nil {
		return nil, false, fmt.Errorf("read the cluster: %w", err)
	}
	if len(data) > MaxFile {
		return nil, false, fmt.Errorf("read the cluster: %s is larger than %d bytes", c.path, MaxFile)
	}
	s = new(State)
	if err := json.Unmarshal(data, s); err != nil {
		return nil, false, fmt.Errorf("read the cluster from %s (remove the file to start afresh): %w", c.path, err)
	}
	return s, false, nil
}

// write replaces the state file in one step, so that a process that is killed leaves the old state or the new one.
func (c *Cluster) write(s *State) (err error) {
	data, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return fmt.Errorf("write the cluster: %w", err)
	}
	f, err := os.CreateTemp(filepath.Dir(c.path), ".cluster-*.json")
	if err != nil {
		return fmt.Errorf("write the cluster: %w", err)
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	_, err = f.Write(append(data, '\n'))
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(f.Name(), c.path)
	}
	if err != nil {
		return fmt.Errorf("write the cluster: %w", err)
	}
	return nil
}
