package execute_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/mainstay-dev/mainstay/reconciler/execute"
	"github.com/mainstay-dev/mainstay/reconciler/remote"
	"github.com/mainstay-dev/mainstay/spec"
)

// offerOf is the offer to undo the Action of an exchange.
func offerOf(w *world, n int) execute.Offer {
	of, by := actionID(n), actionID(spec.UndoExchange(n))
	return execute.Offer{Proposal: key(n), Action: by, Undoes: of, Executor: "one", At: w.clock.now()}
}

// actionID is the id that world gives the Action of an exchange.
func actionID(n int) spec.ActionID {
	return spec.ActionID(fmt.Sprintf("triage-01jd00000000000000000000ab-%d", n))
}

func TestTheLedgerKeepsOneOfferForEachAction(t *testing.T) {
	w := newWorld(t)
	id := w.approved(1, nil)
	first, second := w.executor("one", w.robot), w.executor("two", w.second)
	w.wants(first.run(id), execute.Done, "")
	w.ok(second.ledger.Read(context.Background()))
	offer := offerOf(w, 1)
	w.ok(first.ledger.Offer(context.Background(), offer, w.robot))
	w.ok(second.ledger.Offer(context.Background(), offer, w.second)) // It has not seen the first one's yet.
	tip := w.tip(execute.Branch)
	w.ok(first.ledger.Offer(context.Background(), offer, w.robot))
	if after := w.tip(execute.Branch); after != tip {
		t.Error("it was offered twice")
	}
	for _, e := range []executor{first, second} {
		w.ok(e.ledger.Read(context.Background()))
		if got := e.ledger.Offered(id); got == nil || got.Action != offer.Action || got.Executor != "one" {
			t.Errorf("the offer is %+v", got)
		}
		if e.ledger.Offered(actionID(2)) != nil {
			t.Error("another action's undo was offered")
		}
	}
	all := first.ledger.Standings()["01jd00000000000000000000ab"]
	if len(all) != 1 || all[0].ID != id || all[0].State.State != execute.Done || all[0].Began != 3 || all[0].Ended != 4 {
		t.Errorf("it stands at %+v", all)
	}
	w.wants(second.run(w.approved(2, nil)), execute.Done, "") // and all goes on
}

func TestAnOfferThatDoesNotCount(t *testing.T) {
	path := fmt.Sprintf("proposals/%s/offer.json", key(1))
	text := func(action, undoes spec.ActionID) string {
		return fmt.Sprintf(`{"step":"offer","proposal":%q,"action":%q,"undoes":%q}`, key(1), action, undoes)
	}
	good := text(actionID(1_000_001), actionID(1))
	for _, test := range []struct {
		name, path, text string
		signer           func(*world) *remote.Signer
	}{
		{"signed by a stranger", path, good, (*world).stranger},
		{"signed by an approver", path, good, func(w *world) *remote.Signer { return w.reviewer }},
		{"of another action", path, text(actionID(1_000_002), actionID(1)), robot},
		{"of an undo", path, text(actionID(2_000_001), actionID(1_000_001)), robot},
		{"of nothing", path, text("", ""), robot},
		{"a second one", fmt.Sprintf("proposals/%s/offer-2.json", key(1)), good, robot},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t)
			id := w.approved(1, nil)
			w.push(execute.Branch, remote.CommitDraft{Message: "Offer", Signer: test.signer(w)}, map[string]string{test.path: test.text})
			w.refuses(w.executor("one", w.robot), id, execute.ErrLedgerForeign)
		})
	}
}
