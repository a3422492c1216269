package host

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// maxShebang is the longest first line of a script, in bytes, as in the kernel.
const maxShebang = 256

// script is the first line of an executable that is a script.
type script struct {
	// interpreter is the path of the program that runs the script, absolute and without symbolic links.
	interpreter string
	// args come before the script's path: one at most, as in the kernel.
	args []string
	// env says that the line names the interpreter behind /usr/bin/env.
	env bool
}

// envPath looks programs up for the first lines of scripts.
const envPath = "/usr/bin/env"

// readScript reads the first line of a script: `#!/path [argument]`, or `#!/usr/bin/env NAME`, where the name is looked up
// here and not by the process, which has no PATH. It returns nil for any other executable. The interpreter must not be a
// script itself: the file that a lock pins would then say little about what runs.
func readScript(path string, lookPath func(string) (string, error)) (*script, error) {
	line, is, err := firstLine(path)
	if err != nil || !is {
		return nil, err
	}
	name, argument, _ := strings.Cut(line, " ")
	argument = strings.TrimSpace(argument)
	s := &script{}
	switch {
	case name == "":
		return nil, fmt.Errorf("after #! the script %s names no interpreter", path)
	case name == envPath && (argument == "" || strings.HasPrefix(argument, "-") || strings.ContainsAny(argument, " \t=")):
		return nil, fmt.Errorf("the script %s begins with %q: after /usr/bin/env comes the name of a program and nothing else", path, "#!"+line)
	case name == envPath:
		s.env = true
		if name, err = lookPath(argument); err != nil {
			return nil, fmt.Errorf("the script %s is run by %q, which is not found in the PATH of mainstay: %w", path, argument, err)
		}
	case !filepath.IsAbs(name):
		return nil, fmt.Errorf("the script %s is run by %q: an absolute path is needed, or /usr/bin/env and the name of a program", path, name)
	case argument != "":
		s.args = []string{argument}
	}
	if s.interpreter, err = realPath(name); err != nil {
		return nil, fmt.Errorf("the interpreter of the script %s: %w", path, err)
	}
	info, err := os.Stat(s.interpreter)
	if err != nil {
		return nil, fmt.Errorf("the interpreter of the script %s: %w", path, err)
	}
	if !info.Mode().IsRegular() || info.Mode().Perm()&0o111 == 0 {
		return nil, fmt.Errorf("the script %s is run by %s, which is not an executable", path, s.interpreter)
	}
	if _, again, err := firstLine(s.interpreter); err != nil {
		return nil, fmt.Errorf("the interpreter of the script %s: %w", path, err)
	} else if again {
		return nil, fmt.Errorf("the script %s is run by %s, which is a script itself: write after #! the path of the program that this one starts", path, s.interpreter)
	}
	return s, nil
}

// firstLine returns what follows #! in the first line of a file, and whether the file begins so.
func firstLine(path string) (string, bool, error) {
	f, err := openFile(path)
	if err != nil {
		return "", false, fmt.Errorf("open the executable: %w", err)
	}
	defer f.Close()
	head := make([]byte, maxShebang)
	n, err := io.ReadFull(f, head)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return "", false, fmt.Errorf("read the executable: %w", err)
	}
	line, is := strings.CutPrefix(string(head[:n]), "#!")
	if !is {
		return "", false, nil
	}
	line, _, ended := strings.Cut(line, "\n")
	if !ended && n == maxShebang {
		return "", false, fmt.Errorf("the first line of the script %s is longer than %d bytes", path, maxShebang)
	}
	return strings.TrimSpace(line), true, nil
}

// openFile opens what was a file when it was looked at. Others may write to its folder, and have put there what makes whoever opens
// it wait.
func openFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a file", path)
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

// realPath is the absolute path without symbolic links.
func realPath(path string) (string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	return filepath.EvalSymlinks(abs)
}
