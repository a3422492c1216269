package knowledge

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mainstay-dev/mainstay/kb"
	"github.com/mainstay-dev/mainstay/spec"
)

// site is a site whose pages a test changes.
type site struct {
	*httptest.Server
	t      *testing.T
	mu     sync.Mutex
	pages  map[string]http.HandlerFunc
	asked  []string
	header []http.Header
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{t: t, pages: map[string]http.HandlerFunc{}}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.asked = append(s.asked, r.URL.RequestURI())
		s.header = append(s.header, r.Header)
		page := s.pages[r.URL.RequestURI()]
		s.mu.Unlock()
		if page == nil {
			http.NotFound(w, r)
			return
		}
		page(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *site) set(at string, page http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pages[at] = page
}

// html makes a page of text.
func (s *site) html(at, text string) {
	s.set(at, text200("text/html; charset=utf-8", "<html><body><main><h1>Page</h1><p>"+text+"</p></main></body></html>"))
}

func text200(contentType, text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		fmt.Fprint(w, text)
	}
}

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

func redirect(to string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", to)
		w.WriteHeader(http.StatusFound)
	}
}

// urls are the entries of a sitemap: each a path of the site or a whole URL, with " " and a day behind it where that is known.
func (s *site) urls(entries ...string) string {
	var b strings.Builder
	b.WriteString(`<?xml version="1.0" encoding="UTF-8"?><urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">`)
	for _, e := range entries {
		loc, day, _ := strings.Cut(e, " ")
		if strings.HasPrefix(loc, "/") {
			loc = s.URL + loc
		}
		fmt.Fprintf(&b, "<url><loc>%s</loc>", loc)
		if day != "" {
			fmt.Fprintf(&b, "<lastmod>%s</lastmod>", day)
		}
		b.WriteString("</url>")
	}
	return b.String() + "</urlset>"
}

func (s *site) sitemap(entries ...string) {
	s.set("/sitemap.xml", text200("application/xml", s.urls(entries...)))
}

// requests are the paths that were asked for since it was asked last, but for the sitemap, sorted.
func (s *site) requests() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := slices.DeleteFunc(s.asked, func(at string) bool { return strings.HasPrefix(at, "/sitemap") })
	slices.Sort(all)
	s.asked = nil
	return strings.Join(all, " ")
}

func (s *site) source(allow ...string) *spec.KnowledgeSource {
	for i := range allow {
		allow[i] = s.URL + allow[i]
	}
	return source(s.t, "wiki", spec.KnowledgeSourceSpec{Web: &spec.KnowledgeWeb{Sitemap: s.URL + "/sitemap.xml", Allow: allow}})
}

// paths are those of the pages that the engine has, sorted.
func (w *world) paths(s *site) string { return strings.ReplaceAll(w.files("wiki"), s.URL, "") }

func TestPagesAreReadWhenTheyChange(t *testing.T) {
	w, s := newWorld(t), newSite(t)
	src := s.source("/")
	for _, p := range []string{"one", "two", "three"} {
		s.html("/"+p, "It is about "+p+" birds.")
	}
	// Two have changed on the same day, and the third does not say when.
	s.sitemap("/one 2026-01-02", "/two 2026-01-02", "/three")
	state := w.bring(src, Here{}, Indexed)
	equal(t, "first", s.requests(), "/one /three /two")
	equal(t, "the day", state.Commit, "2026-01-01T00:00:00Z")
	equal(t, "two", strings.ReplaceAll(w.found("two", src), s.URL, ""), "/two")
	w.later(time.Hour)
	equal(t, "the day", w.bring(src, Here{}, Indexed).Commit, "2026-01-01T00:00:00Z")
	equal(t, "again", s.requests(), "/three")

	s.html("/three", "It is about whales.")
	s.html("/one", "It is about ants.")
	equal(t, "the day", w.bring(src, Here{}, Indexed).Commit, "2026-01-01T01:00:00Z")
	equal(t, "one of no day", s.requests(), "/three")
	equal(t, "whales", strings.ReplaceAll(w.found("whales", src), s.URL, ""), "/three")
	s.sitemap("/one 2026-02-02T10:00:00+02:00", "/three")
	w.bring(src, Here{}, Indexed)
	equal(t, "another day", s.requests(), "/one /three")
	equal(t, "the pages", w.paths(s), "/one /three")
	equal(t, "ants", strings.ReplaceAll(w.found("ants", src), s.URL, ""), "/one")
}

func TestPagesThatAreNone(t *testing.T) {
	w, s := newWorld(t), newSite(t)
	src := s.source("/")
	s.html("/good", "It is about birds.")
	s.set("/gone", status(http.StatusGone))
	s.set("/away", redirect("http://metadata.invalid/latest"))
	s.set("/loop", redirect("/loop"))
	s.set("/long", func(w http.ResponseWriter, _ *http.Request) {
		for range maxPage>>20 + 1 {
			fmt.Fprint(w, strings.Repeat("word ", 1<<20/5))
		}
	})
	s.set("/here", redirect("/good"))
	s.sitemap("/good 2026-01-01", "/gone", "/missing 2026-01-01", "/away", "/loop", "/long", "/here")
	state := w.bring(src, Here{}, Indexed)
	if state.Documents != 2 || state.Unread != 5 {
		t.Errorf("%+v", state)
	}
	var all []string
	for _, p := range state.Problems {
		all = append(all, strings.TrimPrefix(p.Path, s.URL)+": "+p.Text)
	}
	equal(t, "the problems", strings.Join(all, "\n"), `/away: it sends to another page, which may not be read
/gone: the server answers 410 Gone
/long: it is too long: more than 8 MiB
/loop: it sends on and on
/missing: the server answers 404 Not Found`)
	// A page that comes back is read, although its day is the same.
	s.html("/missing", "It is about whales.")
	w.bring(src, Here{}, Indexed)
	equal(t, "whales", strings.ReplaceAll(w.found("whales", src), s.URL, ""), "/missing")
}

func TestASiteThatFailsLosesNothing(t *testing.T) {
	w, s := newWorld(t), newSite(t)
	src := s.source("/wiki/")
	s.html("/wiki/one", "It is about birds.")
	s.html("/wiki/two", "It is about whales.")
	s.sitemap("/wiki/one", "/wiki/two")
	w.bring(src, Here{}, Indexed)
	empty := s.urls()
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	for range maxSitemap>>20 + 1 {
		fmt.Fprint(z, strings.Repeat(" ", 1<<20))
	}
	z.Close()
	for name, c := range map[string]struct {
		at, says string
		page     http.HandlerFunc
	}{
		"a page":    {"/wiki/two", "/wiki/two: the server answers 500 Internal Server Error", status(500)},
		"too often": {"/wiki/two", "429 Too Many Requests", status(429)},
		"breaks off": {"/wiki/two", "/wiki/two breaks off: unexpected EOF", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			fmt.Fprint(w, "ten bytes.")
		}},
		"the sitemap":     {"/sitemap.xml", "the sitemap cannot be read: ", status(404)},
		"no sitemap":      {"/sitemap.xml", "it is no sitemap: it has neither urlset nor sitemapindex", text200("text/html", "<html><body/></html>")},
		"half of one":     {"/sitemap.xml", "XML syntax error", text200("text/xml", empty[:len(empty)-9])},
		"an empty one":    {"/sitemap.xml", "names no page that may be read: see whether allow in knowledge/wiki.yaml says how its pages begin", text200("text/xml", empty)},
		"of others":       {"/sitemap.xml", "names no page that may be read", text200("text/xml", s.urls("/private/", "http://metadata.invalid/wiki/"))},
		"a bomb":          {"/sitemap.xml", "cannot be read", text200("text/xml", `<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]><urlset><url><loc>&b;</loc></url></urlset>`)},
		"a zipped bomb":   {"/sitemap.xml", "it is too long: more than 50 MiB", text200("application/gzip", zipped.String())},
		"sends away":      {"/sitemap.xml", "it sends to another page, which may not be read", redirect("http://metadata.invalid/sitemap.xml")},
		"with a password": {"/sitemap.xml", "it sends to another page", redirect(strings.Replace(s.URL, "//", "//ada:secret@", 1) + "/sitemap2.xml")},
	} {
		t.Run(name, func(t *testing.T) {
			s.mu.Lock()
			before := s.pages[c.at]
			s.mu.Unlock()
			defer s.set(c.at, before)
			s.set(c.at, c.page)
			state := w.keeper.Bring(t.Context(), src, Here{}, func(State) {})
			equal(t, "the reason", state.Reason, SourceUnavailable)
			says(t, state.Message, c.says)
			equal(t, "the pages", w.paths(s), "/wiki/one /wiki/two")
			equal(t, "whales", strings.ReplaceAll(w.found("whales", src), s.URL, ""), "/wiki/two")
		})
	}
	for _, h := range s.header {
		if h.Get("Authorization") != "" || h.Get("Cookie") != "" || h.Get("Referer") != "" {
			t.Errorf("a request says %v", h)
		}
	}
}

func TestOnlyAllowedPagesAreAskedFor(t *testing.T) {
	w, s := newWorld(t), newSite(t)
	src := s.source("/wiki/", "/other/page")
	s.html("/wiki/a", "It is about birds.")
	s.html("/other/page", "It is about whales.")
	host := strings.TrimPrefix(s.URL, "http://")
	entries := []string{"/wiki/a", "/other/page", "/private", "/wiki", "/wiki/../private", "/wiki/%2e%2e/private", "/wiki/..%2fprivate", "/wiki/%2E./private", "/wiki/x/../../private",
		"/wiki/..%5cprivate", `/wiki/..\private`, "/wiki/%252e%252e/private", "/wiki/..;x/private", "/wiki/./a", "http://ada:pw@" + host + "/wiki/a", "http://" + host + "@metadata.invalid/wiki/", "//" + host + "/wiki/a",
		"ftp://" + host + "/wiki/a", "http://metadata.invalid/wiki/a", s.URL + ".metadata.invalid/wiki/a", "file:///wiki/a", "/wiki/" + strings.Repeat("a", 3000)}
	s.sitemap(entries...)
	w.bring(src, Here{}, Indexed)
	equal(t, "the requests", s.requests(), "/other/page /wiki/a")
	s.set("/wiki/a", redirect("/wiki/%2e%2e/private"))
	w.bring(src, Here{}, Indexed)
	equal(t, "the requests", s.requests(), "/other/page /wiki/a")
}

func TestSitemapsOfSitemaps(t *testing.T) {
	w, s := newWorld(t), newSite(t)
	src := s.source("/")
	s.html("/a", "It is about birds.")
	s.html("/b", "It is about whales.")
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	fmt.Fprint(z, "\xef\xbb\xbf", s.urls("/b 2026-01-01", "/a"))
	z.Close()
	index := "<sitemapindex>"
	for _, at := range []string{s.URL + "/sitemap-a.xml", s.URL + "/sitemap-b.xml.gz", s.URL + "/sitemap.xml", s.URL + "/sitemap-a.xml", "http://metadata.invalid/sitemap.xml", "http://ada:pw@" + strings.TrimPrefix(s.URL, "http://") + "/private.xml"} {
		index += "<sitemap><loc> " + at + "\n</loc></sitemap>"
	}
	s.set("/sitemap.xml", text200("text/xml", index+"</sitemapindex>"))
	s.set("/sitemap-a.xml", text200("text/xml", s.urls("/a")))
	s.set("/sitemap-b.xml.gz", text200("application/x-gzip", zipped.String()))
	w.bring(src, Here{}, Indexed)
	equal(t, "the requests", s.requests(), "/a /b")
	equal(t, "the pages", w.paths(s), "/a /b")

	endless := "<sitemapindex>"
	for i := range maxSitemaps + 5 {
		at := fmt.Sprintf("/sitemap-%d.xml", i)
		endless += "<sitemap><loc>" + s.URL + at + "</loc></sitemap>"
		s.set(at, text200("text/xml", s.urls("/a")))
	}
	s.set("/sitemap.xml", text200("text/xml", endless+"</sitemapindex>"))
	says(t, w.bring(src, Here{}, SourceUnavailable).Message, "names more than 100 others: name one of them in knowledge/wiki.yaml")
}

func TestWhatPagesAre(t *testing.T) {
	w, s := newWorld(t), newSite(t)
	src := s.source("/")
	s.set("/plain", text200("text/plain", "Pods come and go."))
	s.set("/notes", text200("text/markdown; charset=utf-8", "# Notes\n\nPods stay.\n"))
	s.set("/latin", text200("text/html; charset=ISO-8859-1", "<html><body><main><h1>Caf\xe9</h1><p>The caf\xe9 is open.</p></main></body></html>"))
	s.set("/meta", text200("text/html", `<html><head><meta charset="windows-1252"></head><body><main><p>The na`+"\xef"+`ve page.</p></main></body></html>`))
	s.set("/image", text200("image/png", "\x89PNG\r\n\x1a\n\x00\x00"))
	s.html("/", "It is about the root.")
	s.sitemap("/plain", "/notes", "/latin", "/meta", "/image", "/")
	state := w.bring(src, Here{}, Indexed)
	if state.Unread != 0 || state.Documents != 5 {
		t.Errorf("%+v", state)
	}
	for at, want := range map[string]struct {
		kind kb.Kind
		text string
	}{"/plain": {kb.KindText, "Pods come"}, "/notes": {kb.KindMarkdown, "Pods stay"}, "/latin": {kb.KindHTML, "The café is open."}, "/meta": {kb.KindHTML, "The naïve page."}, "/": {kb.KindHTML, "the root"}} {
		_, d, _, err := w.keeper.Document(t.Context(), "wiki", s.URL+at)
		if err != nil || d.Kind != want.kind || len(d.Chunks) != 1 || !strings.Contains(d.Chunks[0].Text, want.text) {
			t.Errorf("%s is %+v, %v; want %s with %q", at, d, err, want.kind, want.text)
		}
	}
}

// A server that never answers ends with the work, and what was known stays.
func TestASiteThatHangs(t *testing.T) {
	w, s := newWorld(t), newSite(t)
	src := s.source("/")
	s.html("/a", "It is about birds.")
	s.sitemap("/a")
	w.bring(src, Here{}, Indexed)
	asked, done := make(chan struct{}), make(chan struct{})
	t.Cleanup(func() { close(done) })
	s.set("/a", func(http.ResponseWriter, *http.Request) {
		close(asked)
		<-done
	})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-asked
		cancel()
	}()
	if state := w.keeper.Bring(ctx, src, Here{}, func(State) {}); state.Reason == Indexed {
		t.Errorf("%+v", state)
	}
	equal(t, "birds", strings.ReplaceAll(w.found("birds", src), s.URL, ""), "/a")
}

func FuzzParseSitemap(f *testing.F) {
	f.Add([]byte("<urlset><url><loc>http://a/</loc><lastmod>2026-01-01</lastmod></url></urlset>"))
	f.Add([]byte("<sitemapindex><sitemap><loc>http://a/</loc></sitemap></sitemapindex>"))
	f.Add([]byte{0x1f, 0x8b, 8, 0})
	f.Fuzz(func(t *testing.T, body []byte) {
		pages, further, err := parseSitemap(body)
		if err != nil && (pages != nil || further != nil) {
			t.Error("an error and an answer")
		}
	})
}

func FuzzAllowed(f *testing.F) {
	f.Add("http://a/wiki/%2e%2e/b")
	w := &spec.KnowledgeWeb{Allow: []string{"http://a/wiki/"}}
	f.Fuzz(func(t *testing.T, page string) {
		if !allowed(w, page) {
			return
		}
		r, err := http.NewRequest(http.MethodGet, page, nil)
		if err != nil {
			return
		}
		if r.URL.Host != "a" || r.URL.User != nil || !strings.HasPrefix(r.URL.JoinPath().Path, "/wiki/") {
			t.Errorf("%q asks %s for %s", page, r.URL.Host, r.URL.JoinPath().Path)
		}
	})
}

func TestAPageThatFailsTakesNoOtherWithIt(t *testing.T) {
	w, s := newWorld(t), newSite(t)
	src := s.source("/wiki/")
	s.html("/wiki/a", "It is about birds.")
	s.set("/wiki/b", status(500))
	s.html("/wiki/c", "It is about whales.")
	s.sitemap("/wiki/a", "/wiki/b", "/wiki/c")
	state := w.keeper.Bring(t.Context(), src, Here{}, func(State) {})
	equal(t, "the reason", state.Reason, SourceUnavailable)
	says(t, state.Message, "/wiki/b: the server answers 500 Internal Server Error")
	equal(t, "the pages", w.paths(s), "/wiki/a /wiki/c")
	s.html("/wiki/b", "It is about snails.")
	w.bring(src, Here{}, Indexed)
	equal(t, "the pages", w.paths(s), "/wiki/a /wiki/b /wiki/c")

	// Where all of them fail it is the site, and what is known of it stays.
	for _, p := range []string{"/wiki/a", "/wiki/b", "/wiki/c"} {
		s.set(p, status(503))
	}
	state = w.keeper.Bring(t.Context(), src, Here{}, func(State) {})
	says(t, state.Message, "503")
	equal(t, "the pages", w.paths(s), "/wiki/a /wiki/b /wiki/c")
}
