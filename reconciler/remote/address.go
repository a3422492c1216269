package remote

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/go-git/go-git/v5/plumbing/transport"
	"github.com/go-git/go-git/v5/plumbing/transport/http"
	"github.com/go-git/go-git/v5/plumbing/transport/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	xssh "golang.org/x/crypto/ssh"
)

// Auth says how to log in to the remote. The zero value uses what the URL holds, and for SSH the agent or the
// user's default key.
type Auth struct {
	// User goes with Token; "git" if empty, which GitHub, GitLab, Gitea and Forgejo accept.
	User string
	// Token returns the password for HTTPS. It is called before every connection, so it may return short-lived tokens.
	Token func(ctx context.Context) (string, error)
	// SSHKey is the path of an OpenSSH private key without a passphrase.
	SSHKey string
	// KnownHosts is the path of a known_hosts file; by default the user's and the system's are read.
	KnownHosts string
}

// address is a remote's URL with the credentials taken out.
type address struct {
	scheme string // "file", "http", "https", "ssh" or "git"
	url    string // for go-git, and for people
	user   string
	auth   Auth

	password string
	mu       sync.Mutex
	secrets  []string // all that must not be shown
}

// parseAddress reads the forms that git takes: a path, a URL, and user@host:path. Its errors never show raw.
func parseAddress(raw string, auth Auth) (*address, error) {
	a := &address{auth: auth}
	if raw == "" {
		return nil, errors.New("the remote has no URL: give a path, https://host/path or ssh://git@host/path")
	}
	if !strings.Contains(raw, "://") {
		host, _, colon := strings.Cut(raw, ":")
		if colon && host != "" && !strings.Contains(host, "/") {
			a.scheme, a.url = "ssh", raw
			a.user, _, _ = strings.Cut(host, "@")
			return a, nil
		}
		path, err := filepath.Abs(raw)
		if err != nil {
			return nil, fmt.Errorf("find %s: %w", raw, err)
		}
		a.scheme, a.url = "file", (&url.URL{Scheme: "file", Path: path}).String()
		return a, nil
	}
	u, err := url.Parse(raw)
	if err != nil {
		return nil, errors.New("the remote's URL cannot be read: escape special characters, or give the token apart from the URL")
	}
	a.scheme = strings.ToLower(u.Scheme)
	if u.User != nil {
		a.user = u.User.Username()
		a.password, _ = u.User.Password()
		if a.password != "" {
			a.hide(a.password)
		} else if a.scheme == "http" || a.scheme == "https" {
			a.hide(a.user) // A token is often written as the user alone.
		}
	}
	switch a.scheme {
	case "http", "https", "git":
		u.User = nil
	case "ssh":
		if u.User != nil {
			u.User = url.User(a.user)
		}
	case "file":
		u = &url.URL{Scheme: "file", Path: u.Path}
	default:
		return nil, fmt.Errorf("the remote's URL begins with %q: use https, ssh, file or a path", u.Scheme)
	}
	if a.scheme != "file" && u.Host == "" {
		return nil, fmt.Errorf("the remote's URL %s names no host", u.Redacted())
	}
	a.url = u.String()
	return a, nil
}

// hide keeps a secret out of all errors. Very short ones are left, for they would hide half of every message.
func (a *address) hide(secret string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, s := range []string{secret, url.QueryEscape(secret), url.PathEscape(secret)} {
		if len(s) < 4 || contains(a.secrets, s) {
			continue
		}
		if len(a.secrets) >= 64 { // Short-lived tokens follow one another; only the latest can still be in an answer.
			a.secrets = a.secrets[3:]
		}
		a.secrets = append(a.secrets, s)
	}
}

func contains(list []string, s string) bool {
	for _, have := range list {
		if have == s {
			return true
		}
	}
	return false
}

// clean makes one short line without secrets of what a server or library said.
func (a *address) clean(text string) string {
	a.mu.Lock()
	for _, s := range a.secrets {
		text = strings.ReplaceAll(text, s, "***")
	}
	a.mu.Unlock()
	text = strings.Join(strings.FieldsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }), " ")
	const most = 300
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "..."
	}
	return text
}

// login returns the credentials for one connection; nil where none are needed or go-git finds them itself.
func (a *address) login(ctx context.Context) (transport.AuthMethod, error) {
	switch a.scheme {
	case "http", "https":
		return a.basic(ctx)
	case "ssh":
		return a.ssh()
	}
	return nil, nil
}

func (a *address) basic(ctx context.Context) (transport.AuthMethod, error) {
	if a.auth.Token != nil {
		token, err := a.auth.Token(ctx)
		if err != nil {
			return nil, fmt.Errorf("get the token for %s: %w", a.url, err)
		}
		a.hide(token)
		user := a.auth.User
		if user == "" {
			user = "git"
		}
		return &http.BasicAuth{Username: user, Password: token}, nil
	}
	if a.user == "" && a.password == "" {
		return nil, nil
	}
	return &http.BasicAuth{Username: a.user, Password: a.password}, nil
}

func (a *address) ssh() (transport.AuthMethod, error) {
	path := a.auth.SSHKey
	if path == "" {
		if path = defaultSSHKey(); path == "" {
			return nil, nil
		}
	}
	pem, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the SSH key: %w", err)
	}
	key, err := xssh.ParsePrivateKey(pem)
	if _, locked := errors.AsType[*xssh.PassphraseMissingError](err); locked {
		return nil, fmt.Errorf("the SSH key %s has a passphrase: add it to ssh-agent, or use a key without one", path)
	}
	if err != nil {
		return nil, fmt.Errorf("the SSH key %s is not an OpenSSH private key", path)
	}
	user := a.user
	if user == "" {
		user = "git"
	}
	method := &ssh.PublicKeys{User: user, Signer: key}
	if a.auth.KnownHosts != "" {
		method.HostKeyCallback, err = knownhosts.New(a.auth.KnownHosts)
		if err != nil {
			return nil, fmt.Errorf("read the known hosts: %w", err)
		}
	}
	return method, nil
}

// defaultSSHKey returns the user's key where no agent runs, in the order of ssh(1).
func defaultSSHKey() string {
	home, err := os.UserHomeDir()
	if err != nil || os.Getenv("SSH_AUTH_SOCK") != "" {
		return ""
	}
	for _, name := range []string{"id_ed25519", "id_ecdsa", "id_rsa"} {
		path := filepath.Join(home, ".ssh", name)
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	return ""
}
