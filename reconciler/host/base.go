package host

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
)

// The user ids of processes, one for each, where the host is root. The range is free by systemd's and Debian's plans
// (https://systemd.io/UIDS-GIDS); the host's folder picks maxSlots ids in it, so that two hosts rarely share any.
const (
	firstUID = 1879048192
	uidSpans = 16384
)

// maxBase is the longest path of the base, in bytes: a unix socket's path has room for 107, and the process's folder and
// go-plugin's names take up to 44.
const maxBase = 63

// base is the folder that holds the processes' private folders, and copies of executables that agents' users could not
// reach where they are.
type base struct {
	dir string
	// lookPath finds the interpreters of scripts.
	lookPath func(string) (string, error)

	mu   sync.Mutex
	path string
	// uids says that processes can have user ids of their own.
	uids bool
	// limits are those of each process.
	limits limits
	// without are walls that tests leave out.
	without Isolation
	// cgroups make control groups; nil where noCgroups says why there are none.
	cgroups   *cgroups
	noCgroups error
	// copies are the executables copied so far, by where they came from.
	copies map[string]string
}

func newBase(dir string, lookPath func(string) (string, error)) *base {
	return &base{limits: usual, dir: dir, lookPath: lookPath, copies: map[string]string{}}
}

// open chooses and makes the folder.
func (b *base) open() error {
	if b.path != "" {
		return nil
	}
	if b.dir == "" {
		return errors.New("the host has no folder for its processes")
	}
	dir, err := filepath.Abs(b.dir)
	if err != nil {
		return fmt.Errorf("make the host's folder: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make the host's folder: %w", err)
	}
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		return fmt.Errorf("make the host's folder: %w", err)
	}
	root := canSwitchUser()
	path := filepath.Join(dir, "run")
	if len(path) > maxBase || root && !reachable(dir) {
		if path, err = temporary(dir, root); err != nil {
			return err
		}
	}
	if err := os.RemoveAll(path); err != nil {
		return fmt.Errorf("clear the host's folder: %w", err)
	}
	mode := os.FileMode(0o700)
	if root {
		mode = 0o711 // agents' users pass through it to folders of their own
	}
	if err := os.Mkdir(path, 0o700); err != nil {
		return fmt.Errorf("make the host's folder: %w", err)
	}
	if err := os.Chmod(path, mode); err != nil { // whatever the umask is
		return fmt.Errorf("make the host's folder: %w", err)
	}
	b.path, b.uids = path, root && reachable(path) && executesIn(path)
	b.cgroups, b.noCgroups = newCgroups()
	keepFiles()
	return nil
}

// temporary returns the place for the base of dir under the system's temporary folder. It is always the same, so that
// what a killed host left is found; unless someone else has made it, which must not keep the host from starting.
func temporary(dir string, root bool) (string, error) {
	sum := sha256.Sum256([]byte(dir))
	name := fmt.Sprintf("mainstay-%d-%s", os.Getuid(), hex.EncodeToString(sum[:4]))
	for _, parent := range []string{os.TempDir(), "/tmp"} {
		real, err := filepath.EvalSymlinks(parent)
		if err != nil || len(real)+len(name)+12 > maxBase || root && !reachable(real) && parent != "/tmp" {
			continue
		}
		path := filepath.Join(real, name)
		if info, err := os.Lstat(path); err == nil && !ours(info) {
			if path, err = os.MkdirTemp(real, name+"-"); err != nil {
				return "", fmt.Errorf("make the host's folder: %w", err)
			}
		}
		return path, nil
	}
	return "", fmt.Errorf("the path %s is too long for a unix socket, and so is the temporary folder's: choose a shorter one", dir)
}

// private is the private folder of the process in a slot.
func (b *base) private(slot int) string { return filepath.Join(b.path, "a"+strconv.Itoa(slot)) }

// prepare makes the folders of a slot and returns the program to start in them.
func (b *base) prepare(slot int, runtime Runtime, executables []executable) (program, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	prog, err := b.furnish(slot, runtime)
	if err != nil {
		return program{}, err
	}
	return b.equip(prog, slot, executables)
}

// furnish makes the private folder of a slot, empty, and returns the program to start in it.
func (b *base) furnish(slot int, runtime Runtime) (program, error) {
	if err := b.open(); err != nil {
		return program{}, err
	}
	path, err := realPath(runtime.Path)
	if err != nil {
		return program{}, fmt.Errorf("find the executable: %w", err)
	}
	s, err := readScript(path, b.lookPath)
	if err != nil {
		return program{}, err
	}
	dir := b.private(slot)
	prog := program{path: path, args: runtime.Args, dir: dir, read: runtime.Read, uid: -1,
		limits: b.limits, without: b.without, cgroups: b.cgroups, noCgroups: b.noCgroups}
	// A process may use the time of one processor. A runtime in Go that knows starts fewer threads, and sooner.
	prog.env = append([]string{"TMPDIR=" + dir, "GOMAXPROCS=1"}, runtime.Env...)
	if err := os.RemoveAll(dir); err != nil {
		return program{}, fmt.Errorf("clear the process's folder: %w", err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return program{}, fmt.Errorf("make the process's folder: %w", err)
	}
	if !b.uids || b.without&UID != 0 {
		return b.interpreted(prog, s)
	}
	sum := sha256.Sum256([]byte(b.path))
	uid := firstUID + (int(sum[0])<<8|int(sum[1]))%uidSpans*maxSlots + slot
	if err := os.Chown(dir, uid, uid); err != nil {
		// The ids do not exist in this user namespace. The status tells that the wall is missing.
		b.uids = false
		return b.interpreted(prog, s)
	}
	prog.uid = uid
	if prog.path, err = b.readable(path); err != nil {
		return program{}, err
	}
	return b.interpreted(prog, s)
}

// interpreted returns the program itself, or where it is a script its interpreter, which is given the script.
func (b *base) interpreted(prog program, s *script) (_ program, err error) {
	if s == nil {
		return prog, nil
	}
	prog.script, prog.path = prog.path, s.interpreter
	prog.args = slices.Concat(s.args, []string{prog.script}, prog.args)
	prog.read = append([]string{prog.script}, prog.read...)
	if prog.uid >= 0 {
		prog.path, err = b.readable(prog.path)
	}
	return prog, err
}

// readable returns the path of an executable where agents can read it, which is that of a copy where it must be.
func (b *base) readable(path string) (string, error) {
	if reachable(path) {
		return path, nil
	}
	return b.copy(path)
}

// copy copies an executable to where agents can read it, once.
func (b *base) copy(path string) (string, error) {
	source, err := openFile(path)
	if err != nil {
		return "", fmt.Errorf("copy the executable: %w", err)
	}
	defer source.Close()
	info, err := source.Stat()
	if err != nil {
		return "", fmt.Errorf("copy the executable: %w", err)
	}
	key := fmt.Sprintf("%s %d %d", path, info.Size(), info.ModTime().UnixNano())
	if copied := b.copies[key]; copied != "" {
		return copied, nil
	}
	target, err := os.CreateTemp(b.path, "exe-*-"+filepath.Base(path))
	if err != nil {
		return "", fmt.Errorf("copy the executable: %w", err)
	}
	_, err = io.Copy(target, source)
	if err := errors.Join(err, target.Chmod(0o555), target.Close()); err != nil {
		return "", fmt.Errorf("copy the executable: %w", err)
	}
	b.copies[key] = target.Name()
	return target.Name(), nil
}

// remove removes the folder.
func (b *base) remove() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.path == "" {
		return nil
	}
	b.cgroups.close()
	b.cgroups = nil
	if err := os.RemoveAll(b.path); err != nil {
		return fmt.Errorf("remove the host's folder: %w", err)
	}
	b.path = ""
	return nil
}

// reachable says whether any user may read the file, or enter the folder, at an absolute path without links.
func reachable(path string) bool {
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm()&0o001 == 0 || !info.IsDir() && info.Mode().Perm()&0o004 == 0 {
		return false
	}
	for parent := filepath.Dir(path); ; parent = filepath.Dir(parent) {
		info, err := os.Stat(parent)
		if err != nil || info.Mode().Perm()&0o001 == 0 {
			return false
		}
		if parent == filepath.Dir(parent) {
			return true
		}
	}
}
