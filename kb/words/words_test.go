package words_test

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/mainstay-dev/mainstay/kb/words"
)

func terms(text string) []string {
	var all []string
	for run := range words.Runs(text) {
		all = append(all, words.Terms(run)...)
	}
	return all
}

func TestTerms(t *testing.T) {
	for text, want := range map[string]string{
		"The services were restarted, slowly.": "servic were restart slowli",
		"read-only read_only readOnly":         "read onli readon read onli readon read onli readon",
		"readonly":                             "readon",
		"HTTPServer parseURL IPv4":             "http server httpserver pars url parseurl pv4 ipv4",
		"kubectl -n kube-system get pods":      "kubectl n kube system kubesystem get pod",
		"docs/how-to/intro.md:12":              "doc how howto intro md intromd 12",
		"v1.2.3 and 10.0.0.1, or 1.30":         "1.2.3 10.0.0.1 1.30",
		"the user's pods' don’t e.g. U.S.":     "user pod don dont eg us",
		"sha256 k8s x86_64":                    "sha256 k8s x86 64 x8664",
		"naïve Straße ﬁle":                     "naïve straße file",
		"知識検索":                                 "知識 識検 検索",
		"a the of":                             "",
		"--- ... ''":                           "",
		strings.Repeat("x", 200) + " end":      "end",
	} {
		if got := strings.Join(terms(text), " "); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}

// However something is written that people join in many ways, one way finds the other.
func TestWaysOfJoining(t *testing.T) {
	for _, a := range []string{"read-only", "readOnly", "read_only", "ReadOnly", "read.only"} {
		for _, b := range []string{"readonly", "read only", "READ_ONLY"} {
			found := terms(b)
			if !slices.ContainsFunc(terms(a), func(term string) bool { return slices.Contains(found, term) }) {
				t.Errorf("%q does not find %q", a, b)
			}
		}
	}
}

func TestAsking(t *testing.T) {
	for _, w := range []string{"What", "did", "does", "Who's", "she", "them", "doing"} {
		if found := terms(w); len(found) != 1 || !words.Asking(found[0]) {
			t.Errorf("%s is %q, which is not for asking", w, found)
		}
	}
	for _, w := range []string{"deploy", "whatever", "us-east-1", "down", "node"} {
		if found := terms(w); len(found) == 0 || words.Asking(found[len(found)-1]) {
			t.Errorf("%s is %q, which is for asking", w, found)
		}
	}
}

func FuzzTerms(f *testing.F) {
	f.Add("The quick-brown fooBar's v1.2.3 知識 \xff\xfe a\u0301")
	f.Fuzz(func(t *testing.T, text string) {
		for run := range words.Runs(text) {
			for _, term := range words.Terms(run) {
				if term == "" || strings.ContainsAny(term, " \n\t") || utf8.ValidString(run) && !utf8.ValidString(term) {
					t.Fatalf("%q of %q", term, run)
				}
			}
		}
	})
}
