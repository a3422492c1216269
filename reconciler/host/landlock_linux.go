package host

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	mayRead = unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_READ_DIR
	mayRun  = unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_EXECUTE
	// mayListen is what go-plugin's listener does in its folder: it makes an empty file, removes it, and makes a socket
	// of that name. That no file gets any content is due to RLIMIT_FSIZE.
	mayListen = unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_READ_DIR | unix.LANDLOCK_ACCESS_FS_WRITE_FILE |
		unix.LANDLOCK_ACCESS_FS_MAKE_REG | unix.LANDLOCK_ACCESS_FS_REMOVE_FILE | unix.LANDLOCK_ACCESS_FS_MAKE_SOCK
	// fileRights are the rights that a rule about a file, and not a folder, may hold.
	fileRights = unix.LANDLOCK_ACCESS_FS_EXECUTE | unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_WRITE_FILE |
		unix.LANDLOCK_ACCESS_FS_TRUNCATE
)

// fileRule are the rights to a file, or to all that is in a folder.
type fileRule struct {
	path   string
	rights uint64
}

// restrictFiles puts Landlock (https://docs.kernel.org/userspace-api/landlock.html) around this thread, and reports false
// where the kernel has none.
func restrictFiles(prog program) (bool, error) {
	version, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	if errno != 0 {
		return false, nil
	}
	attr := unix.LandlockRulesetAttr{Handled_access_fs: 1<<13 - 1} // all that version 1 knows
	if version >= 2 {
		attr.Handled_access_fs |= unix.LANDLOCK_ACCESS_FS_REFER
	}
	if version >= 3 {
		attr.Handled_access_fs |= unix.LANDLOCK_ACCESS_FS_TRUNCATE
	}
	if version >= 4 {
		attr.Handled_access_net = unix.LANDLOCK_ACCESS_NET_BIND_TCP | unix.LANDLOCK_ACCESS_NET_CONNECT_TCP
	}
	if version >= 5 {
		attr.Handled_access_fs |= unix.LANDLOCK_ACCESS_FS_IOCTL_DEV
	}
	if version >= 6 {
		attr.Scoped = unix.LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET | unix.LANDLOCK_SCOPE_SIGNAL
	}
	ruleset, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET,
		uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr), 0)
	if errno != 0 {
		return false, fmt.Errorf("create a Landlock ruleset: %w", errno)
	}
	defer unix.Close(int(ruleset))
	rules := []fileRule{
		{prog.dir, mayListen},
		{"/dev/null", unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_WRITE_FILE}, {"/dev/urandom", mayRead},
		{"/sys/kernel/mm/transparent_hugepage", mayRead},
	}
	dynamic := false
	for _, path := range append([]string{prog.path}, prog.exec...) {
		loader, err := loader(path)
		if err != nil {
			return false, err
		}
		rules = append(rules, fileRule{path, mayRun})
		if loader != "" {
			dynamic, rules = true, append(rules, fileRule{loader, mayRun})
		}
	}
	if dynamic {
		rules = append(rules,
			fileRule{"/etc/ld.so.cache", mayRead},
			// Node does not start where it may not read what configures its libraries.
			fileRule{"/etc/ssl/openssl.cnf", mayRead}, fileRule{"/etc/pki/tls/openssl.cnf", mayRead},
			fileRule{"/lib", mayRead}, fileRule{"/lib64", mayRead}, fileRule{"/usr/lib", mayRead}, fileRule{"/usr/lib64", mayRead})
	}
	if prog.bin != "" {
		rules = append(rules, fileRule{prog.bin, mayRead})
	}
	for _, path := range prog.read {
		rules = append(rules, fileRule{path, mayRead})
	}
	for _, rule := range rules {
		if err := allowFiles(ruleset, rule.path, rule.rights&attr.Handled_access_fs); err != nil {
			return false, err
		}
	}
	if _, _, errno := unix.Syscall(unix.SYS_LANDLOCK_RESTRICT_SELF, ruleset, 0, 0); errno != 0 {
		return false, fmt.Errorf("apply Landlock: %w", errno)
	}
	return true, nil
}

// allowFiles adds a rule; what does not exist needs none. What may be executed must look like it: the program that names it as its loader, or
// the folder that it is in, may be in other hands.
func allowFiles(ruleset uintptr, path string, rights uint64) error {
	how := unix.O_PATH
	if rights&unix.LANDLOCK_ACCESS_FS_EXECUTE != 0 {
		how = unix.O_RDONLY | unix.O_NONBLOCK
	}
	fd, err := unix.Open(path, how|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("open %s for Landlock: %w", path, err)
	}
	defer unix.Close(fd)
	var stat unix.Stat_t
	if err := unix.Fstat(fd, &stat); err != nil {
		return fmt.Errorf("stat %s for Landlock: %w", path, err)
	}
	if rights&unix.LANDLOCK_ACCESS_FS_EXECUTE != 0 && (stat.Mode&unix.S_IFMT != unix.S_IFREG || !isProgram(fd)) {
		return fmt.Errorf("%s is not an executable", path)
	}
	if stat.Mode&unix.S_IFMT != unix.S_IFDIR {
		rights &= fileRights
	}
	rule := unix.LandlockPathBeneathAttr{Allowed_access: rights, Parent_fd: int32(fd)}
	_, _, errno := unix.Syscall6(unix.SYS_LANDLOCK_ADD_RULE, ruleset, unix.LANDLOCK_RULE_PATH_BENEATH,
		uintptr(unsafe.Pointer(&rule)), 0, 0, 0)
	runtime.KeepAlive(&rule)
	if errno != 0 {
		return fmt.Errorf("allow %s with Landlock: %w", path, errno)
	}
	return nil
}

// isProgram says whether an open file begins as executables and scripts do.
func isProgram(fd int) bool {
	var head [len(elf.ELFMAG)]byte
	n, _ := unix.Pread(fd, head[:], 0)
	return string(head[:n]) == elf.ELFMAG || n > 2 && string(head[:2]) == "#!"
}

// loader returns the dynamic loader that an executable names, or "" where it is static or a script.
func loader(path string) (string, error) {
	if _, script, err := firstLine(path); err != nil || script {
		return "", err
	}
	f, exe, err := openELF(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	for _, segment := range exe.Progs {
		if segment.Type == elf.PT_INTERP {
			name, err := io.ReadAll(io.LimitReader(segment.Open(), unix.PathMax))
			if err != nil {
				return "", fmt.Errorf("read the loader of %s: %w", path, err)
			}
			loader := string(bytes.TrimRight(name, "\x00"))
			f, _, err := openELF(loader)
			switch {
			case errors.Is(err, unix.ENOENT): // The kernel will say so.
				return "", nil
			case err != nil || !filepath.IsAbs(loader):
				return "", fmt.Errorf("%s names the loader %q, which is none", path, loader)
			}
			return loader, f.Close()
		}
	}
	return "", nil
}

func openELF(path string) (*os.File, *elf.File, error) {
	f, err := openFile(path)
	if err != nil {
		return nil, nil, fmt.Errorf("open the executable: %w", err)
	}
	exe, err := elf.NewFile(f)
	if err != nil {
		_ = f.Close()
		return nil, nil, fmt.Errorf("%s is not an executable: %w", path, err)
	}
	return f, exe, nil
}
