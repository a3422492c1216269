package spec

import (
	"net/url"
	"testing"
)

// TestAURLCanBeAsked checks that what is taken for a URL is one, so that nothing finds out when it is asked.
func TestAURLCanBeAsked(t *testing.T) {
	for text, want := range map[string]bool{
		"http://127.0.0.1:11434": true, "https://example.com": true, "https://example.com/v1/?api-version=2024-10-21": true,
		"http://[::1]:8000/v1": true, "http://[fe80::1%25eth0]/": true, "http://models.svc/a%20b#c": true, "https://h?a=%2F": true,
		"127.0.0.1:11434": false, "ftp://h": false, "http://": false, "http://user:hunter2@h/": false, "http://h:abc/": false, "http://h:/": false,
		"http://[::1/": false, "http://::1/": false, "http://h/%zz": false, "http://h%zz/": false, "http://a b/": false, "http://h^/": false,
	} {
		if got := Patterns["url"].matches(text); got != want {
			t.Errorf("%s: got %v", text, got)
		}
		if _, err := url.Parse(text); want && err != nil {
			t.Error(err)
		}
	}
}
