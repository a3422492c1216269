package reconciler

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mainstay-dev/mainstay/reconciler/broker"
	"github.com/mainstay-dev/mainstay/reconciler/broker/model"
	"github.com/mainstay-dev/mainstay/reconciler/broker/tool"
	"github.com/mainstay-dev/mainstay/reconciler/execute"
	"github.com/mainstay-dev/mainstay/reconciler/host"
	"github.com/mainstay-dev/mainstay/reconciler/knowledge"
	"github.com/mainstay-dev/mainstay/reconciler/models"
	"github.com/mainstay-dev/mainstay/reconciler/notify"
	"github.com/mainstay-dev/mainstay/reconciler/proposal"
	"github.com/mainstay-dev/mainstay/reconciler/remote"
	"github.com/mainstay-dev/mainstay/reconciler/run"
	"github.com/mainstay-dev/mainstay/reconciler/shelf"
	"github.com/mainstay-dev/mainstay/reconciler/source"
	"github.com/mainstay-dev/mainstay/reconciler/store"
	"github.com/mainstay-dev/mainstay/spec"
)

// Parts are the stages that a reconciler joins. The caller makes and closes them.
type Parts struct {
	Remote *remote.Remote
	Source *source.Source
	Store  *store.Store
	Host   *host.Host
	Models model.Providers
	Tools  *tool.Servers
	// Secrets returns the secrets that tools and models were given, which nobody else may see.
	Secrets func() []string
	// Knowledge says how knowledge sources are read and where they are kept; Now and Changed are the reconciler's, and so is Past but
	// where no state lasts.
	Knowledge knowledge.Options
	// Reveal resolves a reference to a secret, for webhooks.
	Reveal func(ctx context.Context, ref spec.SecretRef) (string, error)
	// Proposals makes the driver of the forge.
	Proposals func(ProposalNeeds) proposal.Driver
	// Signer is the reconciler's own key: it signs proposals, the ledger and the records of waiting runs.
	Signer *remote.Signer
}

// ProposalNeeds is what a driver for proposals needs to ask the reconciler.
type ProposalNeeds struct {
	Ledger *execute.Ledger
	// FleetAt returns the approvers and the ledger that mainstay.yaml lists at a commit.
	FleetAt func(commit string) (*spec.Fleet, error)
}

// Options say how a reconciler works.
type Options struct {
	// Branch is the branch that is watched. Path is the folder of the repository that holds mainstay.yaml; "" is the root.
	Branch, Path string
	// Env names the overlay that is applied; "" is none.
	Env string
	// Jsonnet evaluates the programs among the spec files. Nil makes them problems.
	Jsonnet spec.Evaluator
	// Interval is the time between two looks at the branch.
	Interval time.Duration
	// Workers is how many runs are worked on at once.
	Workers int
	// Signatures is what is demanded of commits while mainstay.yaml, as it was verified last, demands nothing: of the first
	// revision too. Nil demands nothing.
	Signatures *spec.SignatureDemand
	// Travels says that no state lasts after this process: the records of waiting runs are kept on the remote.
	Travels bool
	// Name tells executors apart in the ledger, such as the machine's name. Name and Email are the author of what the
	// reconciler commits.
	Name, Email string
	// Now, Random and After are the clock, randomness and waiting.
	Now    func() time.Time
	Random io.Reader
	After  func(time.Duration) <-chan time.Time
	// Barrier is called before and after every effect on the world, for tests that end the process there. May be nil.
	Barrier func(point string)
	// Observe is told what happens, as it happens, by several goroutines at once. May be nil.
	Observe func(Event)
}

// Reconciler is the loop. Make one with [New].
type Reconciler struct {
	parts      Parts
	opts       Options
	proposals  proposal.Driver
	broker     *broker.Broker
	keeper     *models.Keeper
	knowledge  *knowledge.Keeper
	engine     *run.Engine
	queue      *run.Queue
	ledger     *execute.Ledger
	executor   *execute.Executor
	allowances *execute.Allowances
	shelf      *shelf.Shelf
	notifier   *notify.Notifier
	poke       chan struct{}

	mu      sync.Mutex
	seen    spec.Revision
	adopted spec.Revision // the newest one that was looked at to the end
	applied spec.Revision
	planned spec.Revision
	fleet   *spec.Fleet
	// policiesNow are the fleet's without the rules that do not count; unsigned says of each policy why.
	policiesNow []*spec.Policy
	unsigned    map[spec.Ref]error
	fleets      map[spec.Revision]*spec.Fleet
	fleetOrder  []spec.Revision
	revisions   []RevisionStatus
	open        []proposal.Listed
	listed      bool       // open is as some pass has seen it
	forgotten   *Forgotten // nil before it was read
	source      []metav1.Condition
	agentErrs   map[spec.AgentName]error
	serverErrs  map[spec.Digest]error
	secretErrs  map[spec.Ref]error    // of tool servers that go on with what they were started with
	modelErrs   map[spec.Digest]error // of models that a lock pins
	resources   map[spec.Ref][]metav1.Condition
	actions     map[spec.ActionID]execute.State
	executing   map[spec.ActionID]bool
	undos       map[spec.ActionID]string // why what is wanted is not offered
	finished    map[spec.RunID]bool
	suspended   []Suspension         // by persons, at once; see suspend.go
	asking      bool                 // only agents that runs need are started
	retries     map[spec.RunID]int   // tries in a row without progress
	retrying    map[spec.RunID]error // why the last one failed
	ledgerErr   error
	trusted     *spec.Fleet     // whose approvers and ledger count
	trustedAt   spec.Revision   // where they are from
	untrusted   error           // why those of the newest revision do not
	verified    source.Verified // the revision verified last; only passes use it
	savedTip    string
	failures    map[string]error
	gone        map[string]bool // steps of the last pass that the remote went away from
	lost        bool            // the last pass could not read the branch, or the remote went away on its way
	published   []byte
	background  sync.WaitGroup

	// newest and older keep what was loaded of the branch's newest revision, and of those that runs are pinned to.
	newest, older spec.Cache
}

// New joins the parts.
func New(ctx context.Context, parts Parts, opts Options) (*Reconciler, error) {
	if opts.Observe == nil {
		opts.Observe = func(Event) {}
	}
	r := &Reconciler{
		parts: parts, opts: opts, poke: make(chan struct{}, 1),
		fleets: map[spec.Revision]*spec.Fleet{}, agentErrs: map[spec.AgentName]error{}, serverErrs: map[spec.Digest]error{},
		secretErrs: map[spec.Ref]error{}, modelErrs: map[spec.Digest]error{},
		resources: map[spec.Ref][]metav1.Condition{}, actions: map[spec.ActionID]execute.State{},
		executing: map[spec.ActionID]bool{}, finished: map[spec.RunID]bool{},
		retries: map[spec.RunID]int{}, retrying: map[spec.RunID]error{}, failures: map[string]error{}, gone: map[string]bool{},
	}
	if err := r.readSuspended(ctx); err != nil {
		return nil, err
	}
	if err := r.restoreTrust(ctx); err != nil {
		return nil, err
	}
	if err := r.restoreVerified(ctx); err != nil {
		return nil, err
	}
	if err := r.openLedger(ctx); err != nil {
		return nil, err
	}
	r.openShelf()
	r.join()
	r.openNotifier()
	return r, nil
}

// Run watches the branch until ctx ends, then lets what is under way come to a point where it can be resumed.
func (r *Reconciler) Run(ctx context.Context) error {
	queueCtx, stopQueue := context.WithCancel(ctx)
	defer stopQueue()
	r.background.Go(func() { _ = r.notifier.Run(ctx) }) // It only ends with ctx.
	var queue <-chan error
	backoff, failures := source.Backoff{Interval: r.opts.Interval, Random: r.fraction}, 0
	for {
		// The remote is left alone while it fails. What else goes wrong delays no commit, which may be what puts it right: it has been told,
		// and is tried again as if all went well.
		delay := r.opts.Interval
		if _ = r.pass(ctx); r.lost {
			failures++
			delay = backoff.Delay(failures)
		} else {
			failures = 0
		}
		queue = r.work(queueCtx, queue)
		select {
		case <-ctx.Done():
			r.background.Wait()
			r.settle()
			if queue == nil {
				return nil
			}
			return r.ended(ctx, <-queue)
		case err := <-queue: // It ends with ctx, or before where the queue cannot be read.
			r.background.Wait()
			r.settle()
			if err != nil {
				err = fmt.Errorf("work on runs: %w", err)
			}
			return r.ended(ctx, err)
		case <-r.poke:
		case <-r.opts.After(delay):
		}
	}
}

// ended tells what the last pass did not come to tell, so that it is not missing once nothing runs.
func (r *Reconciler) ended(ctx context.Context, err error) error {
	if r.published == nil {
		return err
	}
	return errors.Join(err, r.publish(context.WithoutCancel(ctx)))
}

// work begins to work on runs once a good revision is known, because without one no run could go on. It returns the
// channel that tells how the work has ended, or nil while it has not begun.
func (r *Reconciler) work(ctx context.Context, begun <-chan error) <-chan error {
	if begun != nil || r.current() == nil {
		return begun
	}
	ended := make(chan error, 1)
	go func() { ended <- r.queue.Run(ctx) }()
	return ended
}

// pass looks at the world once and does what is due. Its error says that something could not be read or written and is
// worth another try soon; what failed for a resource is in that resource's conditions instead.
func (r *Reconciler) pass(ctx context.Context) error {
	observed := r.observe(ctx)
	r.tellChange("source", observed, SourceFailed)
	away := errors.Is(observed, remote.ErrUnreachable)
	if away {
		r.holdActions(observed)
	}
	steps := []struct {
		name   string
		remote bool // asks the remote, and is left out while that is away
		do     func(context.Context) error
	}{
		{"follow the actions", true, r.readLedger},
		{"take over waiting runs", true, r.takeOver},
		{"apply the plan", false, func(ctx context.Context) error {
			r.checkServers(ctx)
			r.checkModels(ctx)
			r.keepModels(ctx)
			r.keepKnowledge(ctx)
			r.apply(ctx)
			return nil
		}},
		{"start runs", false, r.trigger},
		{"wake runs", true, r.wake},
		{"offer what undoes", true, r.offerUndos},
		{"look at the proposals", true, r.listProposals},
		{"forget old runs", true, r.retain},
		{"publish the state", false, r.publish},
	}
	errs := []error{observed}
	for _, step := range steps {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if step.remote && away {
			continue
		}
		err := step.do(ctx)
		if err != nil {
			err = fmt.Errorf("%s: %w", step.name, err)
			errs = append(errs, err)
		}
		// Where the remote went away in the middle of a pass the next look at the source tells of it, once for all steps.
		gone := step.remote && errors.Is(err, remote.ErrUnreachable)
		first := gone && !r.gone[step.name]
		r.gone[step.name], away = gone, away || gone
		if first {
			continue
		}
		r.tellChange(step.name, err, Warned)
	}
	r.lost = observed != nil || away
	return errors.Join(errs...)
}

// fraction is a random number from 0 up to 1.
func (r *Reconciler) fraction() float64 {
	var b [2]byte
	if _, err := io.ReadFull(r.opts.Random, b[:]); err != nil {
		return 0.5 // Only the spread of retries depends on it.
	}
	return float64(binary.BigEndian.Uint16(b[:])) / (1 << 16)
}

// Look asks for another pass soon. It never blocks.
func (r *Reconciler) Look() {
	select {
	case r.poke <- struct{}{}:
	default:
	}
}

func (r *Reconciler) tell(e Event) {
	e.At = r.opts.Now()
	r.opts.Observe(e)
	r.notifyEvent(e)
}

func (r *Reconciler) warn(err error) { r.tell(Event{Type: Warned, Err: err}) }

// tellChange tells of a failure once, when it begins or changes, and not at every pass.
func (r *Reconciler) tellChange(what string, err error, t EventType) {
	r.mu.Lock()
	old := r.failures[what]
	r.failures[what] = err
	r.mu.Unlock()
	if err != nil && !errors.Is(err, context.Canceled) && (old == nil || old.Error() != err.Error()) {
		r.tell(Event{Type: t, Err: err})
	}
}

func (r *Reconciler) setSource(status metav1.ConditionStatus, reason, message string) {
	v := ready(reason, message)
	if status != metav1.ConditionTrue {
		v = reconciling(reason, message)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.source = conditions(r.source, r.opts.Now(), v)
}

// commitTime is when the commit of a revision was made, which every reconciler sees alike.
func (r *Reconciler) commitTime(revision spec.Revision) (time.Time, error) {
	c, err := r.parts.Remote.Commit(revision.Commit())
	if err != nil {
		return time.Time{}, err
	}
	return c.When.UTC(), nil
}

// Declared is the folder that holds mainstay.yaml at the revision that is declared now. It is where encrypted secrets are
// read from, so that those in use are the ones that were reviewed.
func (r *Reconciler) Declared() (fs.FS, error) {
	r.mu.Lock()
	revision := r.applied
	r.mu.Unlock()
	if revision == "" {
		return nil, errors.New("no good revision is known")
	}
	seen, err := r.parts.Source.At(context.Background(), revision)
	if err != nil {
		return nil, err
	}
	return seen.Tree, nil
}

// files is the whole repository at a revision, for agents to read.
func (r *Reconciler) files(revision spec.Revision) (fs.FS, error) {
	seen, err := r.parts.Source.At(context.Background(), revision)
	if err != nil {
		return nil, err
	}
	return seen.Root, nil
}
