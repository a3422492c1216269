package plugintest

import (
	"path/filepath"
	"strings"
	"testing"
)

func FuzzHandshake(f *testing.F) {
	for _, line := range []string{"1|1|unix|/tmp/s/socket|grpc\n", "1|1|unix|/tmp/../s|grpc||false", "1|1|tcp|127.0.0.1:1|grpc", "|||||", "hello"} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		address, err := parseHandshake(line)
		if err != nil {
			return
		}
		if !filepath.IsAbs(address) || strings.Contains(address, "|") || !strings.HasPrefix(strings.TrimSpace(line), "1|1|unix|") {
			t.Errorf("%q is taken as the address %q", line, address)
		}
	})
}
