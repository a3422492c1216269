package remote

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
)

const token = "s3cret/token+x"

// web serves the repository with git http-backend, as a forge does, to whom has the token.
func (o *origin) web(wrap func(http.Handler) http.Handler) *httptest.Server {
	o.t.Helper()
	git, err := exec.LookPath("git")
	if err != nil {
		o.t.Fatal(err)
	}
	o.run(o.bare, "config", "http.receivepack", "true")
	backend := http.Handler(&cgi.Handler{
		Path: git, Args: []string{"http-backend"}, Dir: o.t.TempDir(), Stderr: io.Discard,
		Env: []string{"GIT_PROJECT_ROOT=" + filepath.Dir(o.bare), "GIT_HTTP_EXPORT_ALL=1", "GIT_CONFIG_NOSYSTEM=1",
			"GIT_CONFIG_GLOBAL=/dev/null", "HOME=" + o.t.TempDir()},
	})
	if wrap != nil {
		backend = wrap(backend)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if _, password, _ := req.BasicAuth(); password != token {
			w.Header().Set("WWW-Authenticate", `Basic realm="git"`)
			http.Error(w, "not you, "+req.Header.Get("Authorization"), http.StatusUnauthorized)
			return
		}
		backend.ServeHTTP(w, req)
	}))
	o.t.Cleanup(server.Close)
	return server
}

func withToken(s string) Auth {
	return Auth{Token: func(context.Context) (string, error) { return s, nil }}
}

func TestOverHTTPWithAToken(t *testing.T) {
	o := newOrigin(t)
	first := o.commit(map[string]string{"a": "1"})
	url := o.web(nil).URL + "/remote.git"
	r := openRemote(t, Options{URL: url, Auth: withToken(token)})
	if got := fetch(t, r); got["main"] != first {
		t.Fatalf("got %v", got)
	}
	second := write(t, r, draft(first, file("a", "2")))
	if err := r.Push(t.Context(), "main", first, second); err != nil {
		t.Fatal(err)
	}
	wantIs(t, r.Push(t.Context(), "main", first, write(t, r, draft(first, file("a", "3")))), ErrMoved)
	if err := r.Push(t.Context(), "mainstay/ledger", "", write(t, r, draft("", file("x", "")))); err != nil {
		t.Fatal(err)
	}
	if err := r.Delete(t.Context(), "mainstay/ledger", o.tip("mainstay/ledger")); err != nil {
		t.Fatal(err)
	}
	o.hook("pre-receive", "echo 'only on Fridays' >&2; exit 1")
	err := r.Push(t.Context(), "main", second, write(t, r, draft(second, file("a", "4"))))
	wantIs(t, err, ErrRejected)
	wantSays(t, err, "only on Fridays")
}

func TestCredentialsAreNeverShown(t *testing.T) {
	o := newOrigin(t)
	o.commit(map[string]string{"a": "1"})
	server := o.web(nil)
	at := func(userinfo, path string) string {
		return strings.Replace(server.URL, "http://", "http://"+userinfo, 1) + path
	}
	const wrong = "wr0ng%2Fsecret"
	for _, tt := range []struct {
		name string
		opts Options
		ok   bool
	}{
		{"the right password in the URL", Options{URL: at("anna:s3cret%2Ftoken+x@", "/remote.git")}, true},
		{"a wrong password in the URL", Options{URL: at("anna:"+wrong+"@", "/remote.git")}, false},
		{"a wrong token as the user in the URL", Options{URL: at(wrong+"@", "/remote.git")}, false},
		{"no credentials", Options{URL: at("", "/remote.git")}, false},
		{"a wrong token", Options{URL: at("", "/remote.git"), Auth: withToken("wr0ng/secret")}, false},
		{"a repository that is not there", Options{URL: at("", "/none.git"), Auth: withToken(token)}, false},
		{"a token that cannot be had", Options{URL: at("", "/remote.git"), Auth: Auth{Token: func(context.Context) (string, error) {
			return "", errors.New("the vault is sealed")
		}}}, false},
		{"nothing listens", Options{URL: "http://anna:" + wrong + "@127.0.0.1:1/x.git"}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := openRemote(t, tt.opts)
			_, ferr := r.Fetch(t.Context())
			_, terr := r.Tips(t.Context())
			root := write(t, r, draft("", file("a", "")))
			perr := r.Push(t.Context(), "x", "", root)
			if tt.ok {
				if err := errors.Join(ferr, terr, perr); err != nil {
					t.Fatal(err)
				}
			}
			for _, err := range []error{ferr, terr, perr} {
				if tt.ok {
					continue
				}
				wantIs(t, err, ErrUnreachable)
				for _, secret := range []string{"wr0ng", "s3cret", "d3IwbmcvI"} {
					if strings.Contains(err.Error(), secret) {
						t.Fatalf("shown: %v", err)
					}
				}
			}
			if strings.Contains(r.URL(), "@") || strings.Contains(r.URL(), "secret") {
				t.Fatalf("the URL shows credentials: %s", r.URL())
			}
		})
	}
	_, err := Open(t.Context(), Options{URL: "https://anna:" + wrong + "@exa mple/%zz"})
	if err == nil || strings.Contains(err.Error(), "wr0ng") {
		t.Fatalf("got %v", err)
	}
}

// The server, or what stands before it, fails while or after it carries out a push.
func TestPushThroughABadLine(t *testing.T) {
	for _, tt := range []struct {
		name string
		then func(w http.ResponseWriter, req *http.Request, next http.Handler)
		want error
	}{
		{"it lands, and the answer is an error", func(w http.ResponseWriter, req *http.Request, next http.Handler) {
			next.ServeHTTP(httptest.NewRecorder(), req)
			http.Error(w, "bad gateway", http.StatusBadGateway)
		}, nil},
		{"it lands, and the connection is cut", func(_ http.ResponseWriter, req *http.Request, next http.Handler) {
			next.ServeHTTP(httptest.NewRecorder(), req)
			panic(http.ErrAbortHandler)
		}, nil},
		{"it lands, and the answer is empty", func(_ http.ResponseWriter, req *http.Request, next http.Handler) {
			next.ServeHTTP(httptest.NewRecorder(), req)
		}, nil},
		{"it is lost on the way", func(http.ResponseWriter, *http.Request, http.Handler) { panic(http.ErrAbortHandler) }, ErrUncertain},
		{"it is turned away", func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
			http.Error(w, "too big", http.StatusRequestEntityTooLarge)
		}, ErrRejected},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := newOrigin(t)
			first := o.commit(map[string]string{"a": "1"})
			var cut atomic.Bool
			server := o.web(func(next http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
					if cut.Load() && req.Method == http.MethodPost && strings.HasSuffix(req.URL.Path, "git-receive-pack") {
						b, _ := io.ReadAll(req.Body)
						req.Body = io.NopCloser(bytes.NewReader(b))
						tt.then(w, req, next)
						return
					}
					next.ServeHTTP(w, req)
				})
			})
			r := openRemote(t, Options{URL: server.URL + "/remote.git", Auth: withToken(token)})
			fetch(t, r)
			cut.Store(true)
			second := write(t, r, draft(first, file("a", "2")))
			err := r.Push(t.Context(), "main", first, second)
			if tt.want == nil && (err != nil || o.tip("main") != second) {
				t.Fatalf("main is at %s, and the push says %v", o.tip("main"), err)
			}
			if tt.want != nil {
				wantIs(t, err, tt.want)
			}
			cut.Store(false)
			if err := r.Push(t.Context(), "main", first, second); err != nil {
				t.Fatalf("to push again is always right: %v", err)
			}
		})
	}
}

func TestAServerThatNeverEndsItsListOfBranches(t *testing.T) {
	var sent atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("Content-Type", "application/x-git-upload-pack-advertisement")
		line := func(text string) []byte { return fmt.Appendf(nil, "%04x%s", len(text)+4, text) }
		_, err := w.Write(append(line("# service=git-upload-pack\n"), "0000"...))
		for n := 0; err == nil && sent.Load() < 4*maxRefs; n++ {
			ref := fmt.Sprintf("%040x refs/heads/%s-%d", 1, strings.Repeat("branch", 30), n)
			if n == 0 {
				ref += "\x00ofs-delta"
			}
			var wrote int
			wrote, err = w.Write(line(ref + "\n"))
			sent.Add(int64(wrote))
		}
	}))
	defer server.Close()
	r := openRemote(t, Options{URL: server.URL + "/remote.git"})
	if _, err := r.Fetch(t.Context()); !errors.Is(err, ErrTooLarge) || !strings.Contains(err.Error(), "lists more than 64 MiB of branches and tags") {
		t.Errorf("fetched with %v", err)
	}
	if sent := sent.Load(); sent >= 2*maxRefs {
		t.Errorf("the server sent %d bytes", sent)
	}
}
