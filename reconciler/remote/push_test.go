package remote

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestPush(t *testing.T) {
	o := newOrigin(t)
	first := o.commit(map[string]string{"a": "1", "d/e": "1"})
	r := o.open(Options{})
	fetch(t, r)
	second := write(t, r, draft(first, file("d/f", "2")))
	beside := write(t, r, draft(first, file("d/f", "3")))
	ctx := t.Context()

	if err := r.Push(ctx, "main", first, second); err != nil {
		t.Fatal(err)
	}
	if o.tip("main") != second {
		t.Fatalf("main is at %s", o.tip("main"))
	}
	if err := r.Push(ctx, "main", first, second); err != nil {
		t.Fatalf("to push again what is there is no error: %v", err)
	}
	wantIs(t, r.Push(ctx, "main", first, beside), ErrMoved)
	wantIs(t, r.Push(ctx, "main", second, beside), ErrNotFastForward)
	wantIs(t, r.Push(ctx, "main", "", beside), ErrMoved)
	wantIs(t, r.Push(ctx, "gone", first, second), ErrMoved)
	wantIs(t, r.Push(ctx, "main", second, strings.Repeat("1", 40)), ErrMissing)
	wantSays(t, r.Push(ctx, "a..b", "", second), "cannot name a branch")
	wantSays(t, r.Push(ctx, "", "", second), "cannot name a branch")

	third := write(t, r, draft(second, file("d/f", "4")))
	if err := r.Push(ctx, "main", second, third); err != nil {
		t.Fatal(err)
	}
	if err := r.Push(ctx, "main", first, second); err != nil {
		t.Fatalf("main has moved on from the commit, so it is pushed: %v", err)
	}
	root := write(t, r, draft("", file("actions/x/claim.json", "{}")))
	if err := r.Push(ctx, "mainstay/ledger", "", root); err != nil {
		t.Fatal(err)
	}
	o.run(o.bare, "fsck", "--strict", "--full")
}

func TestPushToAnEmptyRemote(t *testing.T) {
	o := newOrigin(t)
	r := o.open(Options{})
	fetch(t, r)
	root := write(t, r, draft("", file("mainstay.yaml", "kind: Fleet\n")))
	if err := r.Push(t.Context(), "main", "", root); err != nil {
		t.Fatal(err)
	}
	if got := fetch(t, r); got["main"] != root {
		t.Fatalf("got %v", got)
	}
}

// A commit on an old parent sends only itself, however far main has gone on.
func TestPushSendsLittle(t *testing.T) {
	o := newOrigin(t)
	files := map[string]string{}
	for i := range 300 {
		files[fmt.Sprintf("d%d/f%d", i%10, i)] = fmt.Sprint(i)
	}
	first := o.commit(files)
	for i := range 5 {
		o.commit(map[string]string{"a": fmt.Sprint(i)})
	}
	r := o.open(Options{})
	tips := fetch(t, r)
	id := write(t, r, draft(first, file("d1/f1", "changed")))
	h, _ := parseID(id)
	main, _ := parseID(tips["main"])
	commits, err := r.missing(h, hashes(main))
	if err != nil || len(commits) != 1 {
		t.Fatalf("got %v and %v, want the one commit", commits, err)
	}
	n := newNeeded(r)
	if err := n.commit(h); err != nil || len(n.hashes) != 4 {
		t.Fatalf("sends %d objects and %v, want a commit, two trees and a blob", len(n.hashes), err)
	}
	if err := r.Push(t.Context(), "mainstay/a/b", "", id); err != nil {
		t.Fatal(err)
	}
	o.run(o.bare, "fsck", "--strict", "--full")
}

func TestDeleteAndReplace(t *testing.T) {
	o := newOrigin(t)
	first := o.commit(map[string]string{"a": "1"})
	r := o.open(Options{})
	fetch(t, r)
	const branch = "mainstay/triage/0123456789abcdef"
	one := write(t, r, draft(first, file("a", "2")))
	two := write(t, r, draft(first, file("a", "3")))
	ctx := t.Context()
	if err := r.Push(ctx, branch, "", one); err != nil {
		t.Fatal(err)
	}
	wantIs(t, r.ReplaceBranch(ctx, branch, two, one), nil) // It is there already.
	if err := r.ReplaceBranch(ctx, branch, one, two); err != nil {
		t.Fatal(err)
	}
	if o.tip(branch) != two {
		t.Fatalf("the branch is at %s", o.tip(branch))
	}
	wantIs(t, r.ReplaceBranch(ctx, branch, one, first), nil) // The branch descends from it.
	three := write(t, r, draft(first, file("a", "4")))
	wantIs(t, r.ReplaceBranch(ctx, branch, one, three), ErrMoved)
	for _, name := range []string{"main", "mainstay/ledger", "mainstay/runs/x", "mainstay/ledger/x", "other/triage/x"} {
		wantSays(t, r.ReplaceBranch(ctx, name, one, two), "only the branch of a proposal")
	}
	wantIs(t, r.Delete(ctx, branch, one), ErrMoved)
	if err := r.Delete(ctx, branch, two); err != nil {
		t.Fatal(err)
	}
	if o.tip(branch) != "" {
		t.Fatal("the branch is still there")
	}
	if err := r.Delete(ctx, branch, two); err != nil {
		t.Fatalf("a branch that is gone is deleted: %v", err)
	}
}

func TestOfTwoPushersExactlyOneWins(t *testing.T) {
	o := newOrigin(t)
	tip := o.commit(map[string]string{"a": "1"})
	pushers := []*Remote{o.open(Options{}), o.open(Options{Dir: filepath.Join(t.TempDir(), "store")})}
	for round := range 50 {
		branch, old := "main", tip
		if round%2 == 1 {
			branch, old = fmt.Sprintf("ledger%d", round), "" // Two creators of one branch, with unrelated histories.
		}
		var wg sync.WaitGroup
		ids, errs := make([]string, 2), make([]error, 2)
		for i, p := range pushers {
			fetch(t, p)
			d := draft(old, file("who", fmt.Sprint(round, i)))
			ids[i] = write(t, p, d)
			wg.Go(func() { errs[i] = p.Push(t.Context(), branch, old, ids[i]) })
		}
		wg.Wait()
		won := -1
		for i, err := range errs {
			if err == nil {
				if won >= 0 {
					t.Fatalf("round %d: both won", round)
				}
				won = i
			} else if !errors.Is(err, ErrMoved) {
				t.Fatalf("round %d: the loser got %v", round, err)
			}
		}
		if won < 0 || o.tip(branch) != ids[won] {
			t.Fatalf("round %d: winner %d, %s is at %s: %v", round, won, branch, o.tip(branch), errs)
		}
		if branch == "main" {
			tip = ids[won]
		}
	}
}

func TestPushThatAHookRefuses(t *testing.T) {
	o := newOrigin(t)
	first := o.commit(map[string]string{"a": "1"})
	o.hook("pre-receive", "echo 'main is protected: open a pull request' >&2; exit 1")
	r := o.open(Options{})
	fetch(t, r)
	err := r.Push(t.Context(), "main", first, write(t, r, draft(first, file("a", "2"))))
	wantIs(t, err, ErrRejected)
	wantSays(t, err, "open a pull request")
}

func TestPushThatLandsAlthoughTheAnswerIsLost(t *testing.T) {
	o := newOrigin(t)
	first := o.commit(map[string]string{"a": "1"})
	gate := filepath.Join(t.TempDir(), "gate")
	touch(t, gate)
	o.hook("post-receive", "while [ -e '"+gate+"' ]; do sleep 0.05; done")
	r := o.open(Options{})
	fetch(t, r)
	second := write(t, r, draft(first, file("a", "2")))
	ctx, cancel := context.WithCancel(t.Context())
	go func() { // The caller gives up once the branch has moved, while the server is still busy.
		for o.tip("main") == first && ctx.Err() == nil {
			time.Sleep(10 * time.Millisecond)
		}
		cancel()
	}()
	err := r.Push(ctx, "main", first, second)
	removeAll(t, gate)
	if err != nil {
		t.Fatalf("the push landed: %v", err)
	}
}

func TestPushWhoseFateIsUnknown(t *testing.T) {
	o := newOrigin(t)
	first := o.commit(map[string]string{"a": "1"})
	dir := t.TempDir()
	gate, begun := filepath.Join(dir, "gate"), filepath.Join(dir, "begun")
	touch(t, gate)
	o.hook("pre-receive", "touch '"+begun+"'; while [ -e '"+gate+"' ]; do sleep 0.05; done; exit 1")
	r := o.open(Options{})
	fetch(t, r)
	second := write(t, r, draft(first, file("a", "2")))
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		for !exists(begun) && ctx.Err() == nil {
			time.Sleep(10 * time.Millisecond)
		}
		cancel()
	}()
	err := r.Push(ctx, "main", first, second)
	removeAll(t, gate)
	wantIs(t, err, ErrUncertain)
	if errors.Is(err, ErrUnreachable) {
		t.Fatal("ErrUnreachable would say that nothing was sent")
	}
}

func TestBarrierSurroundsEveryPush(t *testing.T) {
	o := newOrigin(t)
	first := o.commit(map[string]string{"a": "1"})
	var points []string
	r := o.open(Options{Barrier: func(p string) { points = append(points, p+" at "+o.tip("main")) }})
	fetch(t, r)
	second := write(t, r, draft(first, file("a", "2")))
	if err := r.Push(t.Context(), "main", first, second); err != nil {
		t.Fatal(err)
	}
	got, want := strings.Join(points, ", "), PointBeforePush+" main at "+first+", "+PointAfterPush+" main at "+second
	if got != want {
		t.Fatalf("got %s, want %s", got, want)
	}
}
