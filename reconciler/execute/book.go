package execute

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/mainstay-dev/mainstay/reconciler/remote"
	"github.com/mainstay-dev/mainstay/spec"
)

// trust is what mainstay.yaml says about the ledger.
type trust struct {
	genesis   string
	signers   []spec.Key
	approvers []spec.Key
	id        string
}

func newTrust(f *spec.Fleet) trust {
	t := trust{genesis: f.Ledger.Genesis, signers: f.Ledger.Signers}
	for _, k := range f.Approvers {
		reconciler := slices.ContainsFunc(t.signers, func(s spec.Key) bool { return s.Same(k) })
		if !reconciler { // No reconciler decides about what it proposes, even where it is listed as both.
			t.approvers = append(t.approvers, k)
		}
	}
	var id strings.Builder
	fmt.Fprintln(&id, t.genesis)
	for _, keys := range [][]spec.Key{t.signers, t.approvers} {
		for _, k := range keys {
			fmt.Fprintf(&id, "%s %q %q\n", k.Digest(), k.Name, k.CodeOwner) // The names say what the person may approve.
		}
		fmt.Fprintln(&id)
	}
	t.id = id.String()
	return t
}

// signedBy returns why a commit, which a key has signed, is not signed by one of the keys. A key that is listed as it is needs no
// second look; an OpenPGP key that has lost a part or was revoked since is another one, and the signature is checked with it.
func signedBy(keys []spec.Key, key spec.Key, c remote.Commit) error {
	if slices.ContainsFunc(keys, key.Equal) {
		return nil
	}
	_, err := remote.VerifyCommit(c, keys)
	return err
}

// same returns the key as a list has it, which may call its owner by other names.
func same(keys []spec.Key, key spec.Key) spec.Key {
	return keys[slices.IndexFunc(keys, func(k spec.Key) bool { return k.Fingerprint() == key.Fingerprint() })]
}

func (t trust) same(o trust) bool { return t.id == o.id }

// book is what was read of the ledger, up to tip. Only the holder of the ledger's turn changes it, under the lock that
// readers hold.
type book struct {
	lock       sync.Locker
	history    History
	trust      trust
	tip        string
	actions    map[spec.ActionID]*record
	rejections map[string][]byte // by path
	offers     map[spec.ActionID]Offer
	ignored    []string
	commits    int
	size       int
	// added is shown every entry, if it is set.
	added func(remote.Commit, entry)
}

func newBook(h History, t trust, lock sync.Locker) *book {
	return &book{lock: lock, history: h, trust: t, actions: map[spec.ActionID]*record{}, rejections: map[string][]byte{}, offers: map[spec.ActionID]Offer{}}
}

// record returns what the ledger holds about an Action; an empty record where it holds nothing.
func (b *book) record(id spec.ActionID) *record {
	if r, ok := b.actions[id]; ok {
		return r
	}
	return &record{signers: map[string]string{}}
}

// entry is one file of the ledger.
type entry struct {
	path    string
	content []byte
	// place is what the path says, ledger what the file says where it is about an Action.
	place  place
	ledger spec.LedgerEntry
	offer  Offer
	// signer is whose signature it carries, where that counts; ignored says why it does not.
	signer  spec.Key
	ignored string
}

// place is what a path of the ledger says.
type place struct {
	action   spec.ActionID
	proposal spec.ProposalKey
	step     string
	n        int
}

// byPerson reports whether an approver signs the entry, and not a reconciler.
func (p place) byPerson() bool {
	return p.action == "" && p.step != stepOffer || p.step == spec.StepResolution
}

// placeRE matches the path of an entry. Its program is large, and most processes read no ledger.
var placeRE = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^(?:actions/([a-z0-9-]{1,128})/(claim|started|receipt|resolution)|proposals/([0-9a-f]{16})/(rejection|offer))(?:-([1-9][0-9]{0,5}))?\.json$`)
})

func parsePlace(path string) (place, error) {
	m := placeRE().FindStringSubmatch(path)
	if m == nil {
		return place{}, fmt.Errorf("%s is no path of the ledger", path)
	}
	p := place{action: spec.ActionID(m[1]), proposal: spec.ProposalKey(m[3]), step: m[2] + m[4], n: 1}
	if m[5] != "" {
		p.n, _ = strconv.Atoi(m[5]) // The expression lets only short numbers through.
		if p.n < 2 {
			return place{}, fmt.Errorf("%s is no path of the ledger: the first one has no number", path)
		}
	}
	return p, nil
}

// path is the opposite of parsePlace.
func (p place) path() string {
	file := p.step
	if p.n > 1 {
		file += "-" + strconv.Itoa(p.n)
	}
	if p.action != "" {
		return "actions/" + string(p.action) + "/" + file + ".json"
	}
	return "proposals/" + string(p.proposal) + "/" + file + ".json"
}

// advance reads and checks what is new up to tip. The branch must hold last, where that is set, and the pinned first
// commit. Either all that is new is added, or the book is as it was up to the commit before the wrong one.
func (b *book) advance(ctx context.Context, tip, last string) error {
	if tip == b.tip {
		return nil
	}
	var news []remote.Commit
	sawLast, first := last == "" || last == b.tip, ""
	for c, err := range b.history.FirstParents(tip) {
		if err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		sawLast = sawLast || c.ID == last
		if first = c.ID; c.ID == b.tip {
			break
		}
		if news = append(news, c); b.commits+len(news) > maxCommits {
			return fmt.Errorf("it has more than %d entries: begin a new ledger once every Action has expired", maxCommits)
		}
	}
	switch {
	case b.tip != "" && first != b.tip:
		return fmt.Errorf("%w: it was at %s and is now at %s", ErrLedgerRewritten, b.tip, tip)
	case b.tip == "" && first != b.trust.genesis:
		return fmt.Errorf("%w: its first commit is %s, and mainstay.yaml pins %s", ErrLedgerRewritten, first, b.trust.genesis)
	case !sawLast:
		return fmt.Errorf("%w: it was at %s and is now at %s", ErrLedgerRewritten, last, tip)
	}
	for _, c := range slices.Backward(news) {
		if c.ID == b.trust.genesis {
			if _, err := remote.VerifyCommit(c, b.trust.signers); err != nil {
				return fmt.Errorf("%w: %w", ErrLedgerForeign, err)
			}
			b.lock.Lock()
			b.tip, b.commits = c.ID, 1
			b.lock.Unlock()
			continue
		}
		e, err := b.check(ctx, c)
		if err != nil {
			return fmt.Errorf("%w: commit %s by %s, on top of %s, which is the last good one: %w", ErrLedgerForeign, c.ID, c.Author, b.tip, err)
		}
		b.add(c.ID, e)
		if b.added != nil {
			b.added(c, e)
		}
	}
	return nil
}

// check reads the one entry that a commit on top of the book adds, and reports why it cannot be there.
func (b *book) check(ctx context.Context, c remote.Commit) (entry, error) {
	if len(c.Parents) != 1 || c.Parents[0] != b.tip {
		return entry{}, errors.New("it is not one commit on top of the one before")
	}
	before, err := b.history.Snapshot(b.tip)
	if err != nil {
		return entry{}, err
	}
	after, err := b.history.Snapshot(c.ID)
	if err != nil {
		return entry{}, err
	}
	changes, err := remote.Differences(ctx, before, after)
	if err != nil {
		return entry{}, err
	}
	if len(changes) != 1 {
		return entry{}, fmt.Errorf("it touches %d files, and adds not just one", len(changes))
	}
	path := changes[0].Path
	if changes[0].Before != "" {
		return entry{}, fmt.Errorf("it changes %s, and entries never change", path)
	}
	content, err := after.ReadAfter(changes[0])
	if err != nil {
		return entry{}, err
	}
	if len(content) > maxEntry || b.size+len(content) > maxBytes {
		return entry{}, fmt.Errorf("%s has %d bytes, and the limits are %d for one and %d for all", path, len(content), maxEntry, maxBytes)
	}
	e, err := b.parse(path, content)
	if err != nil {
		return entry{}, err
	}
	keys := b.trust.signers
	if e.place.byPerson() {
		keys = b.trust.approvers
	}
	if e.signer, err = remote.VerifyCommit(c, keys); err != nil {
		if !e.place.byPerson() {
			return entry{}, err
		}
		// It lets nothing be executed, and people come and go: so it is passed over, and all else goes on.
		e.ignored = fmt.Sprintf("%s does not count: %v", e.path, err)
		return e, nil
	}
	if e.place.step == spec.StepResolution && b.record(e.place.action).final() != nil {
		e.ignored = fmt.Sprintf("%s does not count: the Action was resolved before", e.path)
		return e, nil
	}
	if why := b.record(e.place.action).early(e.ledger); e.place.step == spec.StepResolution && why != "" {
		e.ignored = fmt.Sprintf("%s does not count: %s", e.path, why)
		return e, nil
	}
	// A process writes its claim, its start and its receipt with one key, so nobody can end what another has begun.
	if by, ok := b.record(e.place.action).signers[e.ledger.Nonce]; ok && !e.place.byPerson() && by != e.signer.Fingerprint() {
		return entry{}, fmt.Errorf("%s belongs to a claim that %s has signed, and it is signed by %s (%s)", path, by, e.signer.Name, e.signer.Fingerprint())
	}
	return e, nil
}

// parse reads an entry and checks it against its path and the entries before it.
func (b *book) parse(path string, content []byte) (entry, error) {
	e := entry{path: path, content: content}
	var err error
	if e.place, err = parsePlace(path); err != nil {
		return e, err
	}
	if err := checkKeys(content); err != nil {
		return e, fmt.Errorf("%s is not an entry: %w", path, err)
	}
	if e.place.action == "" {
		var about struct {
			Step     string           `json:"step"`
			Proposal spec.ProposalKey `json:"proposal"`
		}
		if err := json.Unmarshal(content, &about); err != nil {
			return e, fmt.Errorf("%s is not JSON: %w", path, err)
		}
		if about.Step != e.place.step || about.Proposal != e.place.proposal {
			return e, fmt.Errorf("%s is about %s of %s", path, about.Step, about.Proposal)
		}
		if about.Step == stepOffer {
			if e.offer, err = b.parseOffer(e.place, content); err != nil {
				return e, fmt.Errorf("%s: %w", path, err)
			}
		}
		return e, nil
	}
	if err := json.Unmarshal(content, &e.ledger); err != nil {
		return e, fmt.Errorf("%s is not an entry: %w", path, err)
	}
	if len(e.ledger.Result) > 0 { // The file is indented for people.
		var result bytes.Buffer
		if err := json.Compact(&result, e.ledger.Result); err != nil {
			return e, fmt.Errorf("%s is not an entry: %w", path, err)
		}
		e.ledger.Result = result.Bytes()
	}
	if e.ledger.Step != e.place.step || e.ledger.Action != e.place.action {
		return e, fmt.Errorf("%s is about %s of %s", path, e.ledger.Step, e.ledger.Action)
	}
	if err := b.record(e.place.action).check(e.ledger, e.place.n); err != nil {
		return e, fmt.Errorf("%s: %w", path, err)
	}
	return e, nil
}

// checkKeys refuses an entry that has a key twice, in whatever case: of the two, readers would take different ones.
func checkKeys(content []byte) error {
	d := json.NewDecoder(bytes.NewReader(content))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return errors.New("it is no JSON object")
	}
	seen := map[string]bool{}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return err
		}
		key := strings.ToLower(fmt.Sprint(t))
		if seen[key] {
			return fmt.Errorf("it has %q twice", key)
		}
		seen[key] = true
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return err
		}
	}
	return nil
}

// add takes over an entry that was checked.
func (b *book) add(commit string, e entry) {
	b.lock.Lock()
	defer b.lock.Unlock()
	b.tip = commit
	b.commits++
	if e.ignored != "" {
		b.ignored = append(b.ignored, e.ignored)
	}
	switch {
	case e.place.action == "" && e.ignored != "":
		return
	case e.place.step == stepOffer:
		b.offers[e.offer.Undoes] = e.offer
	case e.place.action == "":
		b.rejections[e.path] = e.content
	default:
		r := b.record(e.place.action)
		r.add(e.ledger, e.signer, e.ignored == "")
		r.place(e.ledger, b.commits)
		if e.ledger.Step == spec.StepClaim {
			r.signers[e.ledger.Nonce] = e.signer.Fingerprint()
		}
		b.actions[e.place.action] = r
	}
	b.size += len(e.content)
}

// draft is an entry to be made.
type draft struct {
	path    string
	content []byte
	message string
}

// entryDraft drafts the next entry of its step.
func entryDraft(e spec.LedgerEntry, r *record) (draft, error) {
	content, err := json.MarshalIndent(e, "", "  ")
	if err != nil {
		return draft{}, err
	}
	p := place{action: e.Action, step: e.Step, n: 1}
	switch e.Step {
	case spec.StepClaim:
		p.n = len(r.claims) + 1
	case spec.StepStarted:
		p.n = len(r.starts) + 1
	case spec.StepResolution:
		p.n = len(r.resolutions) + 1
	}
	return draft{path: p.path(), content: append(content, '\n'), message: fmt.Sprintf("%s %s\n\nby %s", e.Step, e.Action, e.Executor)}, nil
}

// draft writes the commit of an entry into the store, and checks it as every other executor will.
func (b *book) draft(ctx context.Context, r *remote.Remote, d draft, by author, now time.Time) (string, entry, error) {
	id, err := r.WriteCommit(remote.CommitDraft{
		Base: b.tip, Parents: []string{b.tip}, Edits: []spec.FileEdit{{Path: d.path, Content: string(d.content)}},
		Message: d.message, AuthorName: by.name, AuthorEmail: by.email, When: now.UTC(), Signer: by.signer,
	})
	if err != nil {
		return "", entry{}, err
	}
	c, err := b.history.Commit(id)
	if err != nil {
		return "", entry{}, err
	}
	e, err := b.check(ctx, c)
	if errors.Is(err, remote.ErrUnknownSigner) || errors.Is(err, remote.ErrUnsigned) || e.ignored != "" { // Nobody writes what does not count.
		return "", entry{}, fmt.Errorf("%w: %s", ErrNotListed, b.whoMay(e.place, by))
	}
	return id, e, err
}

func (b *book) whoMay(p place, by author) string {
	list := "spec.ledger.signers"
	if p.byPerson() {
		list = "spec.approvers, and not as a reconciler"
	}
	if by.signer == nil {
		return "sign with a key listed under " + list
	}
	return fmt.Sprintf("%s must be under %s", by.signer.Fingerprint(), list)
}
