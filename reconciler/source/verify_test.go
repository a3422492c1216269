package source

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mainstay-dev/mainstay/reconciler/remote"
	"github.com/mainstay-dev/mainstay/spec"
)

// yard is a branch on which people commit, by steps such as "A ada".
type yard struct {
	*origin
	t       *testing.T
	signers map[string]*remote.Signer
	commits map[string]string
	demands map[string]*spec.SignatureDemand
	rem     *remote.Remote
	source  *Source
	n       int
}

func newYard(t *testing.T) *yard {
	t.Helper()
	y := &yard{origin: newOrigin(t), t: t, signers: map[string]*remote.Signer{"nobody": nil}, commits: map[string]string{}, demands: map[string]*spec.SignatureDemand{}}
	y.source = y.watch("")
	y.rem = y.source.remote
	for _, name := range []string{"ada", "bob", "eve"} {
		s, err := remote.GenerateSigner(filepath.Join(t.TempDir(), name), name)
		if err != nil {
			t.Fatal(err)
		}
		y.signers[name] = s
	}
	return y
}

func (y *yard) demand(mode string, names ...string) *spec.SignatureDemand {
	d := &spec.SignatureDemand{Mode: mode, Place: "mainstay.yaml"}
	for _, name := range names {
		d.Signers = append(d.Signers, y.signers[name].Public(name))
	}
	return d
}

// commit makes a commit in the store. With a demand it writes another mainstay.yaml.
func (y *yard) commit(name, by string, demand *spec.SignatureDemand, parents ...string) {
	y.t.Helper()
	y.n++
	edits := []spec.FileEdit{file("f"+name, name)}
	if demand != nil {
		edits = append(edits, file("mainstay.yaml", name))
	}
	d := remote.CommitDraft{Edits: edits, Message: name, AuthorName: by, AuthorEmail: by + "@example.com",
		When: time.Unix(int64(1_700_000_000+y.n), 0).UTC(), Signer: y.signers[by]}
	for i, p := range parents {
		d.Parents = append(d.Parents, y.commits[p])
		if i == 0 {
			d.Base = y.commits[p]
		}
	}
	id, err := y.rem.WriteCommit(d)
	if err != nil {
		y.t.Fatal(err)
	}
	y.commits[name], y.demands[id] = id, demand
}

// verify says "" where tip may run after from.
func (y *yard) verify(demand *spec.SignatureDemand, from, tip string) string {
	y.t.Helper()
	c, err := y.rem.Commit(y.commits[tip])
	if err != nil {
		y.t.Fatal(err)
	}
	err = y.source.Verify(y.t.Context(), c, Verified{Commit: y.commits[from], Demand: demand, DemandAt: func(commit string) (*spec.SignatureDemand, error) {
		if d := y.demands[commit]; d != nil {
			if d.Mode == "broken" {
				return nil, errors.New("broken")
			}
			if d.Mode == "none" {
				return nil, nil
			}
			return d, nil
		}
		y.t.Errorf("asked for the demand of %s, which has not changed it", commit)
		return nil, errors.New("not there")
	}})
	if err == nil {
		return ""
	}
	if _, ok := errors.AsType[*UnverifiedError](err); !ok {
		y.t.Fatalf("got %v, want an UnverifiedError", err)
	}
	return err.Error()
}

func TestWhichRevisionsMayRun(t *testing.T) {
	y := newYard(t)
	ada := y.demand(spec.SignHead, "ada")
	y.commit("base", "ada", nil)
	y.commit("ada", "ada", nil, "base")
	y.commit("unsigned", "nobody", nil, "base")
	y.commit("eve", "eve", nil, "base")
	y.commit("approved", "ada", nil, "unsigned")       // Ada on top of what nobody signed
	y.commit("merged", "ada", nil, "base", "unsigned") // Ada's merge of it
	y.commit("foxtrot", "ada", nil, "unsigned", "ada") // a merge with the branch as its second parent
	y.commit("eveMerges", "eve", nil, "base", "ada")   // Eve's merge of what Ada signed
	y.commit("bobAdded", "ada", y.demand("head", "bob"), "base")
	y.commit("bobUses", "bob", nil, "bobAdded")
	y.commit("adaAfter", "ada", nil, "bobAdded")
	y.commit("eveAdds", "eve", y.demand("head", "eve"), "base")
	y.commit("eveUses", "eve", nil, "eveAdds")
	y.commit("adaOnEve", "ada", nil, "eveAdds")
	y.commit("off", "ada", &spec.SignatureDemand{Mode: "none"}, "base")
	y.commit("afterOff", "nobody", nil, "off")
	y.commit("brokenRoot", "ada", &spec.SignatureDemand{Mode: "broken"}, "base")
	y.commit("afterBroken", "ada", nil, "brokenRoot")
	y.commit("strict", "ada", y.demand(spec.SignEveryCommit, "ada"), "base")
	y.commit("sloppy", "nobody", nil, "strict")
	y.commit("late", "ada", nil, "sloppy")

	authors := *ada
	authors.Authors, authors.Committers = []string{"*@example.com"}, []string{"Bob@example.com"}
	every := y.demand(spec.SignEveryCommit, "ada")
	for _, tt := range []struct {
		name      string
		demand    *spec.SignatureDemand
		from, tip string
		want      string
	}{
		{"nothing is demanded", nil, "base", "unsigned", ""},
		{"what runs already", ada, "unsigned", "unsigned", ""},
		{"a signed commit", ada, "base", "ada", ""},
		{"the first revision, signed", ada, "", "ada", ""},
		{"the first revision, unsigned", ada, "", "unsigned", "nobody has signed it"},
		{"an unsigned commit", ada, "base", "unsigned", "one of the signers listed there has to sign it"},
		{"a commit by somebody else", ada, "base", "eve", "none of the 1 listed"},
		{"a signed commit on top of an unsigned one", ada, "base", "approved", ""},
		{"the same where every commit is to be signed", every, "base", "approved", "nobody has signed it"},
		{"a signed merge", every, "base", "merged", ""},
		{"a merge that the branch comes into", ada, "base", "foxtrot", ""},
		{"the same where every commit is to be signed", every, "ada", "foxtrot", "nobody has signed it"},
		{"a merge by somebody else", ada, "base", "eveMerges", "none of the 1 listed"},
		{"who was added by a signer", ada, "base", "bobUses", ""},
		{"who was taken away meanwhile", ada, "base", "adaAfter", "none of the 1 listed"},
		{"who has added herself", ada, "base", "eveAdds", "none of the 1 listed"},
		{"who has added herself before", ada, "base", "eveUses", "none of the 1 listed"},
		{"a signer on top of that", ada, "base", "adaOnEve", ""},
		{"a signer switches the demand off", ada, "base", "afterOff", ""},
		{"a broken root changes nothing", ada, "base", "afterBroken", ""},
		{"a signer makes it stricter", ada, "base", "late", "nobody has signed it"},
		{"an older revision comes back", ada, "ada", "base", "put back or rewritten"},
		{"another branch takes the place", ada, "bobAdded", "ada", "put back or rewritten"},
		{"a committer who is not listed", &authors, "base", "ada", "its committer is ada <ada@example.com>"},
		{"a tag is asked for", y.demand(spec.SignTag, "ada"), "base", "ada", "it has no annotated tag"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := y.verify(tt.demand, tt.from, tt.tip)
			if (got == "") != (tt.want == "") || !strings.Contains(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
	gone := Verified{Commit: strings.Repeat("1", 40), Demand: ada}
	c, err := y.rem.Commit(y.commits["ada"])
	if err != nil {
		t.Fatal(err)
	}
	if err := y.source.Verify(t.Context(), c, gone); err == nil || !strings.Contains(err.Error(), "put back or rewritten") {
		t.Errorf("after a commit that is gone: got %v", err)
	}
}
