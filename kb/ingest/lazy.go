package ingest

import (
	"regexp"
	"sync"
)

// lazy is a regular expression that is compiled when it is used first. There are a hundred here, and compiling them all would be the
// slowest thing at the start of every program that reads documents, most of which read none.
type lazy struct {
	text string
	once sync.Once
	is   *regexp.Regexp
}

// lazily returns an expression that package regexp takes; else its first use panics.
func lazily(text string) *lazy { return &lazy{text: text} }

func (l *lazy) compiled() *regexp.Regexp {
	l.once.Do(func() { l.is = regexp.MustCompile(l.text) })
	return l.is
}

func (l *lazy) MatchString(s string) bool            { return l.compiled().MatchString(s) }
func (l *lazy) FindStringIndex(s string) []int       { return l.compiled().FindStringIndex(s) }
func (l *lazy) FindStringSubmatch(s string) []string { return l.compiled().FindStringSubmatch(s) }
func (l *lazy) FindStringSubmatchIndex(s string) []int {
	return l.compiled().FindStringSubmatchIndex(s)
}
func (l *lazy) ReplaceAllString(s, with string) string { return l.compiled().ReplaceAllString(s, with) }
func (l *lazy) FindAllStringSubmatchIndex(s string, n int) [][]int {
	return l.compiled().FindAllStringSubmatchIndex(s, n)
}
