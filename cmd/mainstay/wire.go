package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mainstay-dev/mainstay/reconciler"
	"github.com/mainstay-dev/mainstay/reconciler/broker"
	"github.com/mainstay-dev/mainstay/reconciler/broker/model"
	"github.com/mainstay-dev/mainstay/reconciler/broker/tool"
	"github.com/mainstay-dev/mainstay/reconciler/host"
	"github.com/mainstay-dev/mainstay/reconciler/proposal"
	"github.com/mainstay-dev/mainstay/reconciler/proposal/local"
	"github.com/mainstay-dev/mainstay/reconciler/remote"
	"github.com/mainstay-dev/mainstay/reconciler/secret"
	"github.com/mainstay-dev/mainstay/reconciler/source"
	"github.com/mainstay-dev/mainstay/reconciler/store"
	"github.com/mainstay-dev/mainstay/spec"
)

// repoFlags say which branch of which repository is meant.
type repoFlags struct {
	repo, ref, path, env string
	// here says that without --repo the clone in the working directory tells which repository is meant.
	here bool
	// note tells a person on stderr what was chosen. Nil tells nobody.
	note func(text string)
}

func (f *repoFlags) add(cmd *cobra.Command) {
	text := "the Git repository: a `URL` or a folder"
	if f.here {
		text += " (default: the origin of the clone you are in)"
	}
	f.note = func(text string) { fmt.Fprintln(cmd.ErrOrStderr(), text) }
	cmd.Flags().StringVar(&f.repo, "repo", "", text)
	cmd.Flags().StringVar(&f.ref, "ref", "main", "the `branch` that says what runs")
	cmd.Flags().StringVar(&f.path, "path", "", "the `folder` of the repository that holds mainstay.yaml")
}

// addEnv is for the commands that read what is declared.
func (f *repoFlags) addEnv(cmd *cobra.Command) { addEnvFlag(cmd, &f.env) }

func addEnvFlag(cmd *cobra.Command, env *string) {
	cmd.Flags().StringVar(env, "env", "", "the `name` of the overlay to apply, a folder in overlays/")
}

// given are the flags that were given and name the same repository in the next command, with a space before each.
func (f *repoFlags) given(cmd *cobra.Command) string {
	var text string
	for _, name := range []string{"repo", "ref", "path"} {
		if flag := cmd.Flags().Lookup(name); flag != nil && flag.Changed {
			value := flag.Value.String()
			if name == "repo" {
				value = withoutCredentials(value)
			}
			text += " --" + name + " " + quoted(value)
		}
	}
	return text
}

// resolve makes a repository that is a folder an absolute one, so that the same repository has one name. A clone stands
// for its origin, where agents, reviewers and reconcilers meet: a clone's own branches say nothing of what others do.
func (f *repoFlags) resolve() error {
	if err := f.checkPath(); err != nil {
		return err
	}
	if f.repo == "" && f.here {
		f.repo = origin(".")
	}
	if f.repo == "" {
		hint := "give --repo URL"
		if f.here {
			hint += ", or go into a clone of it"
		}
		return usageError{errors.New("which repository? " + hint)}
	}
	if info, err := os.Stat(f.repo); err == nil && info.IsDir() {
		abs, err := filepath.Abs(f.repo)
		if err != nil {
			return err
		}
		f.repo = abs
		if _, err := os.Lstat(filepath.Join(abs, ".git")); err != nil {
			return nil // A bare repository, or none.
		}
		if from := origin(abs); from != "" {
			f.repo = from
			if f.note != nil {
				f.note("using origin: " + withoutCredentials(from))
			}
		}
	}
	return nil
}

func (f *repoFlags) checkPath() error {
	if f.path != "" && !filepath.IsLocal(f.path) {
		return usageError{fmt.Errorf("--path %s is not a folder within the repository; use a relative path with no .. in it", f.path)}
	}
	return nil
}

// origin is where the clone at dir was cloned from, or "".
func origin(dir string) string {
	out, err := exec.Command("git", "-C", dir, "remote", "get-url", "origin").Output()
	from := strings.TrimSpace(string(out))
	if err != nil || from == "" || filepath.IsAbs(from) || strings.Contains(from, ":") {
		return from
	}
	top, err := exec.Command("git", "-C", dir, "rev-parse", "--show-toplevel").Output()
	if err != nil {
		return ""
	}
	return filepath.Join(strings.TrimSpace(string(top)), from)
}

// withoutCredentials is a repository's URL as people may see it.
func withoutCredentials(repo string) string {
	if !strings.Contains(repo, "://") {
		return repo
	}
	u, err := url.Parse(repo)
	if err != nil {
		return "URL"
	}
	if u.User != nil && u.Scheme == "ssh" {
		u.User = url.User(u.User.Username()) // It says who logs in, and a key proves it.
	} else {
		u.User = nil
	}
	return u.String()
}

// stateFlags say what a reconciler keeps, and who it is.
type stateFlags struct {
	dir, signingKey string
}

func (f *stateFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.signingKey, "signing-key", os.Getenv("MAINSTAY_SIGNING_KEY"),
		"the private key `file` that signs proposals and the ledger, of OpenSSH or an exported OpenPGP one (default: one in the\nstate folder, made at first; $MAINSTAY_SIGNING_KEY, and $MAINSTAY_SIGNING_PASSPHRASE if it has one)")
}

// useKept chooses the key that `mainstay ledger init` or `mainstay run` has made for the repository on this machine, if no
// other is given: what another key has signed can be approved by nobody.
func (f *stateFlags) useKept(repo repoFlags) error {
	if f.signingKey != "" {
		return nil
	}
	dir, err := defaultState(repo.repo, repo.ref, repo.path)
	if err != nil {
		return err
	}
	kept := filepath.Join(dir, "keys", "reconciler")
	if _, err := os.Stat(kept); err == nil {
		f.signingKey = kept
	}
	return nil
}

// openRemote opens the repository, keeping its objects in dir, or in memory where dir is "".
func openRemote(ctx context.Context, env environment, repo, dir string) (*remote.Remote, error) {
	var auth remote.Auth
	if token := os.Getenv("MAINSTAY_GIT_TOKEN"); token != "" {
		auth.Token = func(context.Context) (string, error) { return token, nil }
	}
	return remote.Open(ctx, remote.Options{URL: repo, Dir: dir, Barrier: env.barrier, Auth: auth})
}

// processBounds say how many agent processes there may be, and how much memory they may take together. 0 is the default.
type processBounds struct{ processes, memory int }

func (b *processBounds) add(cmd *cobra.Command) {
	cmd.Flags().IntVar(&b.processes, "max-processes", 0, "the `number` of agent processes at once, up to 1000; runs wait for their turn (default: 64 for each CPU, and at\nleast 256)")
	cmd.Flags().IntVar(&b.memory, "max-memory", 0, "the memory that agent processes may take together, in `MiB` (default: half of the machine's)")
}

func (b *processBounds) check() error {
	if b.processes < 0 || b.processes > 1000 {
		return usageError{fmt.Errorf("--max-processes %d is out of range; use 1 to 1000, or 0 for the default", b.processes)}
	}
	if b.memory < 0 {
		return usageError{fmt.Errorf("--max-memory %d is negative; use a number of MiB, or 0 for the default", b.memory)}
	}
	return nil
}

// wired is a reconciler with all its parts.
type wired struct {
	*reconciler.Reconciler
	parts reconciler.Parts
	close func(ctx context.Context) error
}

// wiring is what wire needs to know.
type wiring struct {
	repo     repoFlags
	state    stateFlags
	interval time.Duration
	travels  bool
	bounds   processBounds
	// signatures are demanded of commits while mainstay.yaml demands none. Nil is none.
	signatures *spec.SignatureDemand
	observe    func(reconciler.Event)
	log        *slog.Logger
	// getenv looks up the variables that references to secrets name, and those that say where keys are.
	getenv func(string) (string, bool)
}

// wire makes the parts and joins them. Close what it returns.
func wire(ctx context.Context, env environment, w wiring) (_ *wired, err error) {
	dir := w.state.dir
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the state folder: %w", err)
	}
	var closers []func(ctx context.Context) error
	closeAll := func(ctx context.Context) error {
		var errs []error
		for i := len(closers) - 1; i >= 0; i-- {
			errs = append(errs, closers[i](ctx))
		}
		return errors.Join(errs...)
	}
	defer func() {
		if err == nil {
			return
		}
		if ctx.Err() != nil {
			err = ctx.Err() // Whatever failed, failed because it was told to stop.
		}
		err = errors.Join(err, closeAll(context.WithoutCancel(ctx)))
	}()

	// The store comes first: it holds the lock of the state folder.
	var st *store.Store
	err = whileLocked(ctx, func() (err error) {
		st, err = store.Open(ctx, store.Options{Dir: filepath.Join(dir, "store"), Barrier: env.barrier})
		return err
	})
	if err != nil {
		return nil, err
	}
	closers = append(closers, func(context.Context) error { return st.Close() })

	signer, err := loadOrMakeKey(w.state.signingKey, filepath.Join(dir, "keys", "reconciler"))
	if err != nil {
		return nil, err
	}
	rem, err := openRemote(ctx, env, w.repo.repo, filepath.Join(dir, "git"))
	if err != nil {
		return nil, err
	}
	closers = append(closers, func(context.Context) error { return rem.Close() })
	if err := claimState(dir, rem.URL(), w.repo.ref, w.repo.path); err != nil {
		return nil, err
	}

	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	agents := host.New(host.Options{Dir: filepath.Join(dir, "agents"), Runtimes: runtimes(self), Log: w.log, Now: env.clock(), Sleep: sleep,
		MaxProcesses: w.bounds.processes, MaxMemory: int64(w.bounds.memory) << 20})
	closers = append(closers, agents.Close)
	var joined *reconciler.Reconciler // Nothing is resolved before a revision is declared.
	secrets := secret.New(secret.Options{Env: w.getenv, Tree: func() (fs.FS, error) { return joined.Declared() }, Now: env.clock()})
	hide := broker.NewRedactor(secrets.Known).Text
	tools := tool.New(tool.Options{Dir: filepath.Join(dir, "tools"), Self: self, Env: w.getenv, Secret: secrets.Resolve, Hide: hide, Now: env.clock(), Logger: w.log})
	closers = append(closers, func(context.Context) error { return tools.Close() })

	src, err := source.New(source.Options{Remote: rem, Branch: w.repo.ref, Path: w.repo.path})
	if err != nil {
		return nil, err
	}
	name, err := executorName(dir)
	if err != nil {
		return nil, err
	}
	const email = "mainstay@localhost"
	reveal := func(ctx context.Context, ref spec.SecretRef) (string, error) {
		v, err := secrets.Resolve(ctx, ref)
		return v.Reveal(), err
	}
	providers := model.Providers{Secret: secrets.Resolve, Hide: hide}
	sources, err := keptKnowledge(dir, rem.URL(), w, providers)
	if err != nil {
		return nil, err
	}
	parts := reconciler.Parts{
		Remote: rem, Source: src, Store: st, Host: agents, Models: providers, Tools: tools, Secrets: secrets.Known, Signer: signer,
		Reveal: reveal, Knowledge: sources,
		Proposals: func(k reconciler.ProposalNeeds) proposal.Driver {
			return local.New(local.Options{Remote: rem, Branch: w.repo.ref, Path: w.repo.path, Name: "mainstay", Email: email,
				Signer: signer, Ledger: k.Ledger, FleetAt: k.FleetAt, Now: env.clock()})
		},
	}
	joined, err = reconciler.New(ctx, parts, reconciler.Options{
		Branch: w.repo.ref, Path: w.repo.path, Env: w.repo.env, Jsonnet: evaluator(ctx), Interval: w.interval, Workers: maxRuns, Travels: w.travels, Signatures: w.signatures,
		Name: name, Email: email, Now: env.clock(), Random: rand.Reader, After: env.waiting(), Barrier: env.barrier, Observe: checksKey(signer, w.observe),
	})
	if err != nil {
		return nil, err
	}
	return &wired{Reconciler: joined, parts: parts, close: closeAll}, nil
}

// maxRuns is how many runs are worked on at once. Each takes some ten kilobytes, and a place on a process of its agent,
// which the host bounds.
const maxRuns = 2048

// checksKey warns of a fleet whose ledger does not list this reconciler's own key. Nothing fails before the first proposal
// is to be approved, which is late to find out.
func checksKey(signer *remote.Signer, observe func(reconciler.Event)) func(reconciler.Event) {
	return func(e reconciler.Event) {
		observe(e)
		if e.Type != reconciler.RevisionLoaded || e.Fleet == nil || e.Fleet.Ledger == nil ||
			slices.ContainsFunc(e.Fleet.Ledger.Signers, func(k spec.Key) bool { return k.Same(signer.Public("")) }) {
			return
		}
		observe(reconciler.Event{Type: reconciler.Warned, At: e.At, Revision: e.Revision,
			Err: fmt.Errorf("the key %s of this reconciler is not among spec.ledger.signers in mainstay.yaml: its proposals cannot be approved and it executes nothing; add there: - {name: reconciler, key: %q}",
				signer.Fingerprint(), signer.AuthorizedKey())})
	}
}

// executorName tells reconcilers apart in the ledger: stable for a state folder, and another one for every other.
func executorName(state string) (string, error) {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	abs, err := filepath.Abs(state)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256([]byte(abs))
	return host + "-" + hex.EncodeToString(sum[:4]), nil
}

// sleep waits until d is over or ctx ends.
func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// loadOrMakeKey loads the key at given, or the one at kept, which it makes if it is not there.
func loadOrMakeKey(given, kept string) (*remote.Signer, error) {
	if given != "" {
		return loadKey(given)
	}
	signer, err := remote.LoadSigner(kept)
	if !errors.Is(err, fs.ErrNotExist) {
		return signer, err
	}
	if err := os.MkdirAll(filepath.Dir(kept), 0o700); err != nil {
		return nil, err
	}
	return remote.GenerateSigner(kept, "mainstay")
}

// runtimes finds the executables that can be agents: the runtime NAME is mainstay-NAME beside this executable, and a path is
// the runtime itself. Where that of the reference runtime is missing, as under `go run`, this executable is the runtime too:
// correct, only slower to start.
func runtimes(self string) func(name string) (host.Runtime, error) {
	return func(name string) (host.Runtime, error) {
		name = cmp.Or(name, spec.DefaultRuntime)
		if spec.IsRuntimePath(name) {
			if !isExecutable(name) {
				return host.Runtime{}, fmt.Errorf("there is no executable %s on this machine", name)
			}
			return host.Runtime{Path: name}, nil
		}
		beside := filepath.Join(filepath.Dir(self), "mainstay-"+name)
		switch {
		case isExecutable(beside):
			return host.Runtime{Path: beside}, nil
		case name != spec.DefaultRuntime:
			return host.Runtime{}, fmt.Errorf("unknown runtime %q: there is no executable %s; loop comes with Mainstay", name, beside)
		}
		return host.Runtime{Path: self, Args: []string{runtimeArg}}, nil
	}
}

func isExecutable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o111 != 0
}

// program is how a person calls this program, for the commands it suggests.
func program() string {
	self, err := os.Executable()
	if err != nil {
		return "mainstay"
	}
	if strings.Contains(self, string(filepath.Separator)+"go-build") {
		return "go run ./cmd/mainstay"
	}
	return filepath.Base(self)
}

// quoted is a word as a shell takes it, with quotes only where it needs them.
func quoted(word string) string {
	if word != "" && strings.Trim(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:@%+=,") == "" {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
