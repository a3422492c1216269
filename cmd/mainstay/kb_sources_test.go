package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestNoSiteIsReadAtALinkLocalAddress(t *testing.T) {
	client := siteClient()
	for _, url := range []string{"http://169.254.169.254/latest/meta-data/", "http://[fe80::1]/", "http://0.0.0.0/"} {
		response, err := client.Get(url)
		if err == nil {
			response.Body.Close()
		}
		if err == nil || !strings.Contains(err.Error(), "no site is read there") {
			t.Errorf("%s: %v", url, err)
		}
	}
	site := httptest.NewServer(http.NotFoundHandler())
	defer site.Close()
	response, err := client.Get(site.URL)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
}
