package knowledge

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/net/html/charset"

	"github.com/mainstay-dev/mainstay/kb"
	"github.com/mainstay-dev/mainstay/spec"
)

// The bounds of a site.
const (
	// maxPages is how many pages a source may have, and maxSitemaps how many sitemaps an index may name.
	maxPages    = 50_000
	maxSitemaps = 100
	// maxSitemap and maxPage are the largest ones that are read, in bytes; 50 MiB is what the protocol of sitemaps allows.
	maxSitemap = 50 << 20
	maxPage    = 8 << 20
	// maxKept is about how much text of pages is kept until it is taken in, in bytes. What is more is read a second time then.
	maxKept = 256 << 20
	// maxRedirects is how many redirects are followed, each to a page that may be read.
	maxRedirects = 5
	// pageTime bounds one request.
	pageTime = 30 * time.Second
)

const (
	// maxLost is how many pages of a site may fail, and siteAway how many of the first ones, before it is the site that does.
	maxLost, siteAway = 20, 3
)

// page is a page of a sitemap.
type page struct {
	url     string
	changed string // as the sitemap says
}

// web brings the source to the pages of a site. A page that the sitemap gives a day for is read again when that is another one; any other
// page is read each time, to see whether it has changed, and so is one that could not be read, which stays as it was. A sitemap without pages empties nothing:
// it is more often a mistake of a server than what somebody wants, who would remove the source.
func (j *job) web(ctx context.Context, w *spec.KnowledgeWeb) error {
	pages, err := j.sitemap(ctx, w)
	if err != nil {
		return err
	}
	if len(pages) == 0 {
		return unavailable{fmt.Errorf("the sitemap %s names no page that may be read: see whether allow in %s says how its pages begin", w.Sitemap, j.source.Place.File)}
	}
	u := j.update(j.opts.Now().UTC().Format("2006-01-02T15:04:05Z"))
	known, err := j.engine.Files(ctx, j.source.Name)
	if err != nil {
		return indexError{err}
	}
	had := map[string]string{}
	for _, f := range known {
		had[f.Path] = f.Blob
	}
	broken, err := j.broken(ctx)
	if err != nil {
		return err
	}
	read := map[string]kb.Document{}
	same := commitOf(j.was) != "" && j.was == j.selected(commitOf(j.was))
	kept, lost, failed := 0, 0, error(nil)
	for i, p := range pages {
		f := kb.File{Path: p.url}
		if when, err := time.Parse(time.RFC3339, p.changed); err == nil {
			f.Time = when.UTC()
		} else if when, err := time.Parse(time.DateOnly, p.changed); err == nil {
			f.Time = when
		}
		if !f.Time.IsZero() && !broken[p.url] {
			f.Blob = "lastmod:" + p.changed + " " + p.url
		}
		if f.Blob == "" || had[p.url] != f.Blob && kept < maxKept { // What cannot be kept is read when it is taken in.
			d, blob, err := j.page(ctx, w, p.url)
			if away := (unavailable{}); errors.As(err, &away) && ctx.Err() == nil {
				// A page that fails stays as it was. Where they all do, or many, it is the site.
				if lost++; lost > maxLost || lost == i+1 && (lost == len(pages) || lost == siteAway) {
					return err
				}
				if failed == nil {
					failed = err
				}
				if f.Blob, blob = had[p.url], had[p.url]; blob == "" {
					continue
				}
			} else if err != nil {
				return err
			} else if f.Blob == "" {
				f.Blob = blob
			}
			if had[p.url] != f.Blob && kept < maxKept {
				read[p.url] = d
				for _, c := range d.Chunks {
					kept += len(c.Text)
				}
			}
		}
		same = same && had[f.Path] == f.Blob
		u.Put = append(u.Put, f)
		j.tell(i+1, len(pages))
	}
	if same && len(known) == len(u.Put) {
		return failed
	}
	u.Read = func(ctx context.Context, f kb.File) (kb.Document, error) {
		if d, ok := read[f.Path]; ok {
			return d, nil
		}
		d, _, err := j.page(ctx, w, f.Path)
		return d, err
	}
	if err := j.write(ctx, u); err != nil {
		return err
	}
	return failed
}

// broken are the pages that could not be read the last time, as far as the engine lists them.
func (j *job) broken(ctx context.Context) (map[string]bool, error) {
	all, err := j.engine.Stats(ctx)
	if err != nil {
		return nil, indexError{err}
	}
	pages := map[string]bool{}
	for _, s := range all {
		if s.Source == j.source.Name {
			for _, p := range s.Problems {
				pages[p.Path] = true
			}
		}
	}
	return pages, nil
}

// sitemap returns the pages that a sitemap names and that may be read, sorted and each once. See https://www.sitemaps.org/protocol.html.
func (j *job) sitemap(ctx context.Context, w *spec.KnowledgeWeb) ([]page, error) {
	var pages []page
	left, done := []string{w.Sitemap}, map[string]bool{}
	for len(left) > 0 {
		at := left[0]
		left = left[1:]
		if done[at] {
			continue
		}
		if done[at] = true; len(done) > maxSitemaps {
			return nil, unavailable{fmt.Errorf("the sitemap %s names more than %d others: name one of them in %s", w.Sitemap, maxSitemaps, j.source.Place.File)}
		}
		body, _, err := j.get(ctx, at, maxSitemap, func(to string) bool { return sameHost(to, w.Sitemap) })
		if err != nil {
			return nil, unavailable{fmt.Errorf("the sitemap cannot be read: %w", err)}
		}
		found, further, err := parseSitemap(body)
		if err != nil {
			return nil, unavailable{fmt.Errorf("the sitemap %s cannot be read: %w", at, err)}
		}
		for _, p := range found {
			if allowed(w, p.url) {
				pages = append(pages, p)
			}
		}
		for _, s := range further {
			if sameHost(s, w.Sitemap) {
				left = append(left, s)
			}
		}
		if len(pages) > maxPages {
			return nil, unavailable{fmt.Errorf("the sitemap %s has more than %d pages that may be read: write less under allow in %s", w.Sitemap, maxPages, j.source.Place.File)}
		}
	}
	slices.SortFunc(pages, func(a, b page) int { return strings.Compare(a.url, b.url) })
	return slices.CompactFunc(pages, func(a, b page) bool { return a.url == b.url }), nil
}

// parseSitemap returns the pages of a sitemap, or the sitemaps of an index.
func parseSitemap(body []byte) (pages []page, further []string, err error) {
	if bytes.HasPrefix(body, []byte{0x1f, 0x8b}) {
		unzipped, err := gzip.NewReader(bytes.NewReader(body))
		if err != nil {
			return nil, nil, err
		}
		if body, err = readAtMost(unzipped, maxSitemap); err != nil {
			return nil, nil, err
		}
	}
	decoder := xml.NewDecoder(bytes.NewReader(body))
	type entry struct {
		Loc     string `xml:"loc"`
		Lastmod string `xml:"lastmod"`
	}
	root := false
	for {
		token, err := decoder.Token()
		if err == io.EOF {
			if !root {
				return nil, nil, errors.New("it is no sitemap: it has neither urlset nor sitemapindex")
			}
			return pages, further, nil
		}
		if err != nil {
			return nil, nil, err
		}
		start, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		switch start.Name.Local {
		case "urlset", "sitemapindex":
			root = true
		case "url", "sitemap":
			var e entry
			if err := decoder.DecodeElement(&e, &start); err != nil {
				return nil, nil, err
			}
			loc := strings.TrimSpace(e.Loc)
			if start.Name.Local == "sitemap" {
				further = append(further, loc)
			} else {
				pages = append(pages, page{loc, strings.TrimSpace(e.Lastmod)})
			}
		}
	}
}

// allowed reports whether a page may be read: it begins as one of those that the source allows, and leads nowhere else from there.
func allowed(w *spec.KnowledgeWeb, page string) bool {
	u, err := url.Parse(page)
	if err != nil || u.User != nil || u.Host == "" || len(page) > 2048 || climbs(u.Path) {
		return false
	}
	return slices.ContainsFunc(w.Allow, func(prefix string) bool { return strings.HasPrefix(page, prefix) })
}

// climbs reports whether a path has dots for another folder, in any of the ways in which servers take them: what is escaped in the
// URL, also twice, and a backslash for a slash.
func climbs(path string) bool {
	for range 2 {
		for _, name := range strings.FieldsFunc(path, func(r rune) bool { return r == '/' || r == '\\' }) {
			name, _, _ = strings.Cut(name, ";")
			if name == ".." || name == "." {
				return true
			}
		}
		unescaped, err := url.PathUnescape(path)
		if err != nil {
			return false
		}
		path = unescaped
	}
	return false
}

func sameHost(a, b string) bool {
	x, err := url.Parse(a)
	y, other := url.Parse(b)
	return err == nil && other == nil && x.Host != "" && x.User == nil && x.Scheme == y.Scheme && strings.EqualFold(x.Host, y.Host)
}

// page reads one page.
func (j *job) page(ctx context.Context, w *spec.KnowledgeWeb, at string) (kb.Document, string, error) {
	body, kind, err := j.get(ctx, at, maxPage, func(to string) bool { return allowed(w, to) })
	var none *pageError
	switch {
	case errors.As(err, &none):
		return kb.Document{Problem: none.text}, "error:" + none.text, nil
	case err != nil:
		return kb.Document{}, "", err
	}
	sum := sha256.Sum256(body)
	name := named(at, kind)
	d, err := j.document(ctx, name, inUTF8(body, kind))
	return d, blob("sha256:"+hex.EncodeToString(sum[:]), name), err
}

// inUTF8 is a text in UTF-8 that may be in another encoding, which the server or the page itself names.
func inUTF8(body []byte, contentType string) []byte {
	if utf8.Valid(body) || !strings.HasPrefix(contentType, "text/") && !strings.HasPrefix(contentType, "application/xhtml") {
		return body
	}
	encoding, _, _ := charset.DetermineEncoding(body[:min(len(body), 1024)], contentType)
	if text, err := encoding.NewDecoder().Bytes(body); err == nil {
		return text
	}
	return body
}

// named is what a page would be called as a file, so that its kind is known.
func named(at, contentType string) string {
	name := "page"
	if u, err := url.Parse(at); err == nil {
		name = strings.Trim(u.Path, "/")
	}
	switch media, _, _ := strings.Cut(contentType, ";"); strings.TrimSpace(media) {
	case "text/html", "application/xhtml+xml":
		return name + ".html"
	case "text/markdown":
		return name + ".md"
	case "application/pdf":
		return name + ".pdf"
	case "text/plain":
		return name + ".txt"
	}
	return name
}

// pageError says why there is no page where a server answers.
type pageError struct{ url, text string }

func (e *pageError) Error() string { return e.url + ": " + e.text }

func answers(status int) string {
	return strings.TrimSpace(fmt.Sprintf("the server answers %d %s", status, http.StatusText(status)))
}

var errTooLong = errors.New("it is too long")

// get reads what is at a URL, and follows redirects to where it may. The error of a server that cannot be reached, or fails, is
// unavailable, and otherwise a pageError.
func (j *job) get(ctx context.Context, at string, most int64, may func(url string) bool) (body []byte, contentType string, err error) {
	for range maxRedirects + 1 {
		body, contentType, next, err := j.once(ctx, at, most)
		if err != nil || next == "" {
			return body, contentType, err
		}
		if !may(next) {
			return nil, "", &pageError{at, "it sends to another page, which may not be read"}
		}
		at = next
	}
	return nil, "", &pageError{at, "it sends on and on"}
}

// once makes one request. next is where it sends to.
func (j *job) once(ctx context.Context, at string, most int64) (body []byte, contentType, next string, err error) {
	ctx, cancel := context.WithTimeout(ctx, pageTime)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	if err != nil {
		return nil, "", "", unavailable{err}
	}
	request.Header.Set("User-Agent", "mainstay")
	request.Header.Set("Accept", "text/html, text/markdown, text/plain, application/pdf, application/xml;q=0.9, */*;q=0.1")
	response, err := j.opts.Client.Do(request)
	if err != nil {
		return nil, "", "", unavailable{err}
	}
	defer response.Body.Close()
	switch {
	case response.StatusCode >= 300 && response.StatusCode < 400 && response.StatusCode != http.StatusNotModified:
		to, err := response.Location()
		if err != nil {
			return nil, "", "", unavailable{fmt.Errorf("%s sends to nowhere: %w", at, err)}
		}
		return nil, "", to.String(), nil
	case response.StatusCode == http.StatusTooManyRequests || response.StatusCode >= 500:
		return nil, "", "", unavailable{fmt.Errorf("%s: %s", at, answers(response.StatusCode))}
	case response.StatusCode != http.StatusOK:
		return nil, "", "", &pageError{at, answers(response.StatusCode)}
	}
	body, err = readAtMost(response.Body, most)
	if err != nil && !errors.Is(err, errTooLong) {
		err = unavailable{fmt.Errorf("%s breaks off: %w", at, err)}
	} else if err != nil {
		err = &pageError{at, err.Error()}
	}
	return body, response.Header.Get("Content-Type"), "", err
}

// readAtMost reads all of r. The error wraps errTooLong where it is more.
func readAtMost(r io.Reader, most int64) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(r, most+1))
	if err == nil && int64(len(body)) > most {
		return nil, fmt.Errorf("%w: more than %d MiB", errTooLong, most>>20)
	}
	return body, err
}
