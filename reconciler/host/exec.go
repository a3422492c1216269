package host

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
)

// executable is a program that an agent's process may execute.
type executable struct {
	// name is what the process finds it by, and path where it lies; real is path without symbolic links.
	name, path, real string
}

// executables finds the programs that an agent declares: absolute paths, and names that are looked up here and not by the
// process. A script is one of them where what runs it is another, so that nothing is executed that is not declared.
func executables(declared []string, lookPath func(string) (string, error)) ([]executable, error) {
	var all []executable
	for _, program := range declared {
		e := executable{name: filepath.Base(program), path: program}
		if !filepath.IsAbs(program) {
			found, err := lookPath(program)
			if err != nil {
				return nil, fmt.Errorf("isolation.exec names %q, which is not found in the PATH of mainstay: %w", program, err)
			}
			if e.path, err = filepath.Abs(found); err != nil {
				return nil, fmt.Errorf("isolation.exec names %q: %w", program, err)
			}
		}
		var err error
		if e.real, err = filepath.EvalSymlinks(e.path); err != nil {
			return nil, fmt.Errorf("isolation.exec names %q: %w", program, err)
		}
		if err := e.check(); err != nil {
			return nil, err
		}
		all = append(all, e)
	}
	for _, e := range all {
		if err := e.runnable(all, lookPath); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// check looks whether e is a program. It is again when a process is started: whoever may write to its folder could have put something
// else in its place, such as a link to a file that only the host may read.
func (e executable) check() error {
	switch info, err := os.Lstat(e.real); {
	case err != nil:
		return fmt.Errorf("isolation.exec names %q: %w", e.path, err)
	case info.IsDir():
		return fmt.Errorf("isolation.exec names %q, which is a folder: name the programs in it", e.path)
	case !info.Mode().IsRegular() || info.Mode().Perm()&0o111 == 0:
		return fmt.Errorf("isolation.exec names %q, which is not an executable file", e.path)
	}
	return nil
}

// runnable checks that what runs e, where that is a script, may be executed, too.
func (e executable) runnable(all []executable, lookPath func(string) (string, error)) error {
	s, err := readScript(e.real, lookPath)
	if s == nil || err != nil {
		return err
	}
	needed := []string{s.interpreter}
	if s.env {
		env, err := realPath(envPath)
		if err != nil {
			return fmt.Errorf("the interpreter of the script %s: %w", e.real, err)
		}
		needed = append(needed, env)
	}
	for _, program := range needed {
		if !slices.ContainsFunc(all, func(other executable) bool { return other.real == program }) {
			return fmt.Errorf("isolation.exec names %q, a script that is run by %s: name that, too", e.path, program)
		}
	}
	return nil
}

// bin is the folder in which the process in a slot finds what it may execute.
func (b *base) bin(slot int) string { return filepath.Join(b.path, "e"+strconv.Itoa(slot)) }

// equip makes the folder in which a process finds what it may execute, and nothing else. It is what its PATH names.
func (b *base) equip(prog program, slot int, executables []executable) (program, error) {
	bin := b.bin(slot)
	if err := os.RemoveAll(bin); err != nil {
		return program{}, fmt.Errorf("clear the folder of what the process may execute: %w", err)
	}
	if len(executables) == 0 {
		return prog, nil
	}
	if err := os.Mkdir(bin, 0o700); err != nil {
		return program{}, fmt.Errorf("make the folder of what the process may execute: %w", err)
	}
	if err := os.Chmod(bin, 0o755); err != nil { // whatever the umask is
		return program{}, fmt.Errorf("make the folder of what the process may execute: %w", err)
	}
	for _, e := range executables {
		if err := e.check(); err != nil {
			return program{}, err
		}
		path, real := e.path, e.real
		if prog.uid >= 0 {
			var err error
			if real, err = b.readable(e.real); err != nil {
				return program{}, err
			}
			if real != e.real || !reachable(e.path) {
				path = real
			}
		}
		if err := os.Symlink(path, filepath.Join(bin, e.name)); err != nil {
			return program{}, fmt.Errorf("name what the process may execute: %w", err)
		}
		prog.exec = append(prog.exec, real)
	}
	prog.bin, prog.env = bin, append(prog.env, "PATH="+bin)
	return prog, nil
}
