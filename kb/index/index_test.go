package index_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/mainstay-dev/mainstay/kb/index"
)

func of(documents ...index.Document) *index.Index {
	b := index.NewBuilder()
	for i, d := range documents {
		if d.ID == "" {
			d.ID = fmt.Sprint(i)
		}
		b.Add(d)
	}
	return b.Build()
}

func ids(hits []index.Hit) string {
	var all []string
	for _, h := range hits {
		all = append(all, h.ID)
	}
	return strings.Join(all, " ")
}

func TestWhatIsAskedForIsFound(t *testing.T) {
	x := of(
		index.Document{ID: "pods", Title: "Pods", Text: "A pod is the smallest thing that the kube-scheduler places on a node."},
		index.Document{ID: "nodes", Title: "Nodes", Text: "A node is a machine. Draining moves its pods elsewhere."},
		index.Document{ID: "limits", Title: "Limits", Text: "memory_limit_bytes and cpuShares bound a container of v1.31.2."},
		index.Document{ID: "empty"},
	)
	for question, want := range map[string]string{
		"what is a pod":        "pods nodes",
		"drained":              "nodes",
		"KubeScheduler":        "pods",
		"memoryLimitBytes":     "limits",
		"cpu shares":           "limits",
		"1.31.2":               "limits",
		"":                     "",
		"the of and":           "",
		"nothing of this here": "",
	} {
		if got := ids(x.Search(question, 10)); got != want {
			t.Errorf("%q: %s, want %s", question, got, want)
		}
	}
	if got := ids(x.Search("pod node", 1)); got != "nodes" && got != "pods" {
		t.Errorf("one of two: %s", got)
	}
	if x.Len() != 4 {
		t.Errorf("there are %d", x.Len())
	}
}

func TestATitleCountsMore(t *testing.T) {
	x := of(index.Document{Text: "restart and cluster and other"}, index.Document{Title: "Restart", Text: "cluster and other words"}, index.Document{Text: "none of it"})
	if got := ids(x.Search("restart", 10)); got != "1 0" {
		t.Errorf("got %s", got)
	}
}

func TestNothingIsFoundInNothing(t *testing.T) {
	for name, x := range map[string]*index.Index{"no documents": of(), "empty ones": of(index.Document{}, index.Document{Text: " "})} {
		if hits := x.Search("anything", 10); len(hits) > 0 {
			t.Errorf("%s: %v", name, hits)
		}
	}
}

// A document that has none of the words is found beside those that have, by words that stand with them.
func TestWordsOfWhatWasFoundAreAskedForToo(t *testing.T) {
	var all []index.Document
	for i := range 40 {
		text := fmt.Sprintf("filler%d of another kind%d", i, i)
		switch {
		case i%10 == 0:
			text = "outage pager incident escalation"
		case i == 5:
			text = "pager incident escalation rota"
		}
		all = append(all, index.Document{Text: text})
	}
	if got := ids(of(all...).Search("outage", 10)); got != "0 10 20 30 5" {
		t.Errorf("got %s", got)
	}
}

// Ranks are those of a sort, for any collection and any number that is wanted, and the same each time.
func TestRanks(t *testing.T) {
	word := rapid.SampledFrom(strings.Fields("pod node drain kube-proxy readOnly v1.2 restart cluster limit memory 知識 ü"))
	rapid.Check(t, func(t *rapid.T) {
		texts := rapid.SliceOfN(rapid.SliceOfN(word, 0, 12), 0, 30).Draw(t, "texts")
		var all []index.Document
		for _, words := range texts {
			all = append(all, index.Document{Text: strings.Join(words, " ")})
		}
		question := strings.Join(rapid.SliceOfN(word, 1, 4).Draw(t, "question"), " ")
		x := of(all...)
		hits := x.Search(question, len(all)+1)
		if !slices.IsSortedFunc(hits, func(a, b index.Hit) int {
			if a.Score != b.Score {
				return int(1e9 * (b.Score - a.Score))
			}
			return a.Document - b.Document
		}) {
			t.Fatalf("not sorted: %v", hits)
		}
		seen := map[int]bool{}
		for _, h := range hits {
			if seen[h.Document] || h.Score <= 0 || h.Score > 1.0001 || h.ID != fmt.Sprint(h.Document) {
				t.Fatalf("%+v of %v", h, hits)
			}
			seen[h.Document] = true
		}
		most := rapid.IntRange(0, len(all)+1).Draw(t, "most")
		if again := of(all...).Search(question, most); !slices.Equal(again, hits[:min(most, len(hits))]) {
			t.Fatalf("the first %d are %v of %v", most, again, hits)
		}
		for d, words := range texts {
			if has := slices.Contains(strings.Fields(question), "restart") && slices.Contains(words, "restart"); has && !seen[d] {
				t.Fatalf("document %d has a word of the question and is not found", d)
			}
		}
	})
}

// In short messages the words of asking are rare, and yet say nothing of what is asked; where there are no others they are all there is.
func TestWordsOfAskingCountLittle(t *testing.T) {
	var messages []index.Document
	for i := range 40 {
		messages = append(messages, index.Document{ID: fmt.Sprint("m", i), Text: fmt.Sprintf("The pool of the gateway drained, connection %d.", i)})
	}
	x := of(append(messages,
		index.Document{ID: "chat", Text: "What did she say, and when did she?"},
		index.Document{ID: "answer", Text: "Ana restarted the gateway and the pool on Monday."})...)
	for question, want := range map[string]string{
		"What did she do when the gateway was restarted?": "answer",
		"what did she": "chat",
	} {
		for name, search := range map[string]func(string, int) []index.Hit{"all": x.Search, "words": x.SearchWords} {
			if hits := search(question, 1); len(hits) != 1 || hits[0].ID != want {
				t.Errorf("%s, by %s: found %v, want %s", question, name, hits, want)
			}
		}
	}
}
