package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/mainstay-dev/mainstay/kb"
	"github.com/mainstay-dev/mainstay/kb/disk"
	"github.com/mainstay-dev/mainstay/kb/ingest/pdf"
	"github.com/mainstay-dev/mainstay/kb/postgres"
	"github.com/mainstay-dev/mainstay/kb/render"
	"github.com/mainstay-dev/mainstay/plugins"
	"github.com/mainstay-dev/mainstay/reconciler/broker/model"
	"github.com/mainstay-dev/mainstay/reconciler/knowledge"
	"github.com/mainstay-dev/mainstay/reconciler/remote"
	"github.com/mainstay-dev/mainstay/spec"
)

// openKnowledge says how knowledge is read and kept: its index and the repositories that it fetches are in a folder. owner says whose an
// index is that others may share. damaged is told what of the index was, and is empty now.
func openKnowledge(dir string, models model.Providers, owner func(knowledge.Here) (string, error), damaged func(error)) knowledge.Options {
	o := knowledge.Options{
		Engine: func(ctx context.Context, in *spec.Postgres, here knowledge.Here) (kb.Engine, error) {
			if in == nil {
				engine, err := disk.Open(filepath.Join(dir, "index"))
				if err != nil {
					return nil, err
				}
				for _, emptied := range engine.Emptied() {
					damaged(fmt.Errorf("the index %s: %w", dir, emptied))
				}
				return engine, nil
			}
			now := func(ctx context.Context) (string, error) {
				connection, err := models.Secret(ctx, in.Connection)
				return connection.Reveal(), err
			}
			connection, err := now(ctx)
			if err != nil {
				return nil, err
			}
			whose, err := owner(here)
			if err != nil {
				return nil, err
			}
			engine, err := postgres.Open(ctx, connection, postgres.Options{Schema: in.Schema, Owner: whose, Connections: in.Connections, Renew: now})
			if err != nil {
				return nil, err
			}
			return engine, nil
		},
		// A model that a lock pins is asked while it is the one that its own revision's lock pins: by that, vectors are told from those of
		// another one.
		Embed: func(ctx context.Context, m *spec.Model, texts []string) ([][]float32, error) {
			if err := models.CheckPin(ctx, m, nil); err != nil {
				return nil, err
			}
			return models.Embed(ctx, m, texts)
		},
		Ask: func(ctx context.Context, m *spec.Model, instructions, message string, schema json.RawMessage) (string, error) {
			if err := models.CheckPin(ctx, m, nil); err != nil {
				return "", err
			}
			answer, err := models.Chat(ctx, m, model.Request{
				Instructions: instructions, Messages: []plugins.Message{{Role: plugins.RoleUser, Text: message}}, OutputSchema: schema,
			}, nil)
			return answer.Text, err
		},
		Repository: func(ctx context.Context, url string, credential *spec.SecretRef) (*remote.Remote, error) {
			key := url
			if credential != nil {
				key += "\x00" + credential.String()
			}
			sum := sha256.Sum256([]byte(key))
			o := remote.Options{URL: url, Dir: filepath.Join(dir, "git", hex.EncodeToString(sum[:8]))}
			if credential != nil {
				o.Auth.Token = func(ctx context.Context) (string, error) {
					v, err := models.Secret(ctx, *credential)
					return v.Reveal(), err
				}
			}
			return remote.Open(ctx, o)
		},
		Client: siteClient(),
	}
	if self, err := os.Executable(); err == nil {
		o.PDF = pdf.Child{Command: []string{self, pdfArg}}.Read
		o.Render = &render.Child{Command: []string{self, renderArg}}
	}
	return o
}

// siteClient reads the pages of sites. It follows no redirect by itself, and asks nothing at a link-local address, whatever name stands for
// it: that is where clouds tell a machine its credentials.
func siteClient() *http.Client {
	dialer := &net.Dialer{Timeout: 10 * time.Second, Control: func(_, address string, _ syscall.RawConn) error {
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			return err
		}
		host, _, _ = strings.Cut(host, "%") // The zone of an IPv6 address.
		if ip := net.ParseIP(host); ip == nil || ip.IsLinkLocalUnicast() || ip.IsMulticast() || ip.IsUnspecified() {
			return fmt.Errorf("%s is no address of a site: link-local, multicast or unspecified ones are where a machine asks for its own credentials, and no site is read there", host)
		}
		return nil
	}}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.DialContext = dialer.DialContext
	return &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// readPDF is what the child does that reads a PDF file.
func readPDF() int {
	if err := pdf.Serve(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// renderManifests is what the child does that renders charts and kustomizations.
func renderManifests() int {
	if err := render.Serve(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// keptKnowledge is where a reconciler keeps knowledge: in its state folder, or, where that does not last, where `mainstay kb` keeps that
// of the same repository, so that not all is read each time. If others use that one now, or it cannot be had, all is read anew. Past runs
// are then those of the state folder where a daemon on this machine would keep them.
func keptKnowledge(state, repo string, w wiring, models model.Providers) (knowledge.Options, error) {
	damaged := func(err error) { w.log.Warn("what was damaged of knowledge is read again", "error", err) }
	owner := func(here knowledge.Here) (string, error) {
		return indexOwner(repo, w.repo.ref, w.repo.path, w.repo.env, here)
	}
	own := openKnowledge(filepath.Join(state, "knowledge"), models, owner, damaged)
	if !w.travels {
		return own, nil
	}
	lasts, err := defaultState(w.repo.repo, w.repo.ref, w.repo.path)
	if err != nil {
		return own, err
	}
	own.Past = pastIn(lasts)
	dir, err := knowledgeDir(repo, w.repo.env)
	if err != nil {
		return own, nil // No folder is known that lasts.
	}
	o := openKnowledge(dir, models, owner, damaged)
	lasting := o.Engine
	o.Repository, o.Past = own.Repository, own.Past
	o.Engine = func(ctx context.Context, in *spec.Postgres, here knowledge.Here) (kb.Engine, error) {
		engine, err := lasting(ctx, in, here)
		if err != nil && in == nil {
			return own.Engine(ctx, in, here)
		}
		return engine, err
	}
	return o, nil
}

// knowledgeDir is the folder for the knowledge of a repository, outside of any state folder: all of it can be read again.
func knowledgeDir(repo, env string) (string, error) {
	root, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("choose a folder for the index: %w; give --index", err)
	}
	sum := sha256.Sum256([]byte(repo + "\x00" + env))
	return filepath.Join(root, "mainstay", "knowledge", strings.TrimSuffix(filepath.Base(repo), ".git")+"-"+hex.EncodeToString(sum[:4])), nil
}

// kbFlags say whose knowledge it is, and where its index is.
type kbFlags struct {
	repo  repoFlags
	dir   string
	index string
	state string
}

func (f *kbFlags) add(cmd *cobra.Command) {
	f.repo.add(cmd)
	f.repo.addEnv(cmd)
	cmd.Flags().StringVarP(&f.dir, "dir", "C", ".", "the `folder` that holds mainstay.yaml, in a Git repository")
	cmd.Flags().StringVar(&f.state, "state", "", "the state `folder` whose runs a history is of (default: the one that \"mainstay run\" keeps for the repository)")
	cmd.Flags().StringVar(&f.index, "index", "", "the `folder` of the index (default: the database that mainstay.yaml names, or one for this repository in the user's cache folder)")
}

// library is what a folder, or the tip of a branch, declares as knowledge, and its index.
type library struct {
	*declared
	keeper *knowledge.Keeper
	here   knowledge.Here
}

// open loads what is declared, and opens the index. Close what it returns.
func (f *kbFlags) open(ctx context.Context, env environment) (*library, error) {
	d, err := declaredIn(ctx, env, &f.repo, []string{f.dir})
	if err != nil {
		return nil, err
	}
	l := &library{declared: d}
	var of string
	if d.remote != nil {
		l.here = knowledge.Here{Commit: d.seen.Commit.ID, History: d.remote}
		of = d.remote.URL()
	} else if l.here, of, err = headOf(d.dir); err != nil {
		d.close()
		return nil, err
	}
	state, err := f.pastState(of, d)
	if err != nil {
		d.close()
		return nil, err
	}
	if len(d.fleet.Knowledge) == 0 {
		d.close()
		return nil, fmt.Errorf("%s declares no KnowledgeSource: add a file to knowledge/, such as\n%s", d.name, exampleSource)
	}
	dir := f.index
	if dir == "" {
		if dir, err = knowledgeDir(of, f.repo.env); err != nil {
			d.close()
			return nil, err
		}
	}
	o := openKnowledge(dir, localProviders(env, d.dir), f.ownerOf(d, of), func(err error) { f.repo.note(fmt.Sprintf("note: %v", err)) })
	o.Now, o.Past = env.clock(), pastIn(state)
	shared := o.Engine
	o.Engine = func(ctx context.Context, in *spec.Postgres, here knowledge.Here) (kb.Engine, error) {
		engine, err := shared(ctx, in, here)
		if errors.Is(err, postgres.ErrOwner) {
			err = fmt.Errorf("%w; where another branch is reconciled than %s give --ref BRANCH, and for an index on this machine --index FOLDER", err, f.repo.ref)
		}
		return engine, err
	}
	l.keeper = knowledge.New(o)
	if f.index == "" {
		l.keeper.Use(d.fleet, l.here)
	}
	return l, nil
}

const exampleSource = `  apiVersion: mainstay.dev/v1alpha1
  kind: KnowledgeSource
  metadata: {name: docs}
  spec: {files: {include: ["docs/**"]}}`

// headOf is what is committed in the repository that holds a folder, and that repository's folder.
func headOf(dir string) (knowledge.Here, string, error) {
	clone, err := remote.OpenClone(dir)
	if err != nil {
		return knowledge.Here{}, "", fmt.Errorf("%w; knowledge is read from commits, so that it can be cited", err)
	}
	commit, err := clone.Resolve("HEAD")
	if err != nil {
		return knowledge.Here{}, "", fmt.Errorf("%s has no commit yet: commit first, for knowledge is read from commits", dir)
	}
	return knowledge.Here{Commit: commit, History: clone}, clone.Top(), nil
}

func (l *library) done() error {
	err := l.keeper.Close()
	l.close()
	return err
}

// bring brings sources to what they are now, sorted, and shows how far it is.
func (l *library) bring(cmd *cobra.Command, names []string) (map[string]knowledge.State, error) {
	states := map[string]knowledge.State{}
	for _, name := range slices.Sorted(maps.Keys(l.fleet.Knowledge)) {
		if len(names) > 0 && !slices.Contains(names, name) {
			continue
		}
		p := newProgress(cmd, name)
		states[name] = l.keeper.Bring(cmd.Context(), l.fleet.Knowledge[name], l.here, func(s knowledge.State) {
			p.tell(s.Reason, s.Message, 100*s.Done/max(s.Of, 1), s.Of < 100)
		})
		p.end()
		if err := cmd.Context().Err(); err != nil {
			return nil, err
		}
	}
	return states, nil
}

// tellMissing tells which of some sources are not in the index, and how they come into it.
func (l *library) tellMissing(cmd *cobra.Command, sources []string, how string) error {
	all, err := l.keeper.Stats(cmd.Context())
	if err != nil {
		return err
	}
	for _, name := range sources {
		if !slices.ContainsFunc(all, func(s kb.Stats) bool { return s.Source == name }) {
			fmt.Fprintf(cmd.ErrOrStderr(), "note: %s is not in the index: %s\n", name, how)
		}
	}
	return nil
}

// known refuses names that are no source's.
func (l *library) known(names []string) error {
	for _, name := range names {
		if l.fleet.Knowledge[name] == nil {
			return fmt.Errorf("there is no KnowledgeSource %q at %s; there are: %s", name, l.name, strings.Join(slices.Sorted(maps.Keys(l.fleet.Knowledge)), ", "))
		}
	}
	return nil
}

func newKBIndex(env environment) *cobra.Command {
	var flags kbFlags
	cmd := &cobra.Command{
		Use:   "index [SOURCE...]",
		Short: "Read the declared knowledge sources into the index",
		Long: "Read the knowledge sources that a folder declares, or with --repo a branch, into an index, all or those with the names. Files of the\n" +
			"repository are read as they are committed. What has not changed since the last time is not read again. `mainstay run` does\n" +
			"the same for its agents, in its state folder. Documents that cannot be read are told, and fail nothing.",
		Example: "  mainstay kb index\n  mainstay kb index runbooks --index /tmp/index",
		Args:    cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, names []string) (err error) {
			l, err := flags.open(cmd.Context(), env)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, l.done()) }()
			if err := l.known(names); err != nil {
				return err
			}
			states, err := l.bring(cmd, names)
			if err != nil {
				return err
			}
			if len(names) == 0 {
				if err := l.keeper.Forget(cmd.Context(), slices.Collect(maps.Keys(l.fleet.Knowledge))); err != nil {
					return err
				}
			}
			failed := false
			for _, name := range slices.Sorted(maps.Keys(states)) {
				failed = tellSource(cmd, name, states[name], true) || failed
				source := l.fleet.Knowledge[name]
				globs, err := l.keeper.Unmatched(source)
				if err != nil {
					return err
				}
				if text := unmatched(source, globs); text != "" {
					fmt.Fprintln(cmd.ErrOrStderr(), "note: "+text)
				}
			}
			if failed {
				return errSilent
			}
			return nil
		},
	}
	flags.add(cmd)
	return cmd
}

// tellSource tells how a source is, and reports whether something is wrong with it. What is well is only told where all is wanted.
func tellSource(cmd *cobra.Command, name string, s knowledge.State, all bool) (failed bool) {
	switch {
	case s.Reason != knowledge.Indexed:
		fmt.Fprintf(cmd.ErrOrStderr(), "%s: %s: %s\n", name, s.Reason, spec.Visible(s.Message))
		return true
	case !all:
		return false
	}
	fmt.Fprintf(cmd.OutOrStdout(), "%s: %s\n", name, s.Found())
	for _, p := range s.Problems {
		fmt.Fprintf(cmd.ErrOrStderr(), "%s: not read: %s\n", name, inLine(p.Path+": "+p.Text))
	}
	if more := s.Unread - len(s.Problems); more > 0 {
		fmt.Fprintf(cmd.ErrOrStderr(), "%s: not read: %d more\n", name, more)
	}
	return false
}
