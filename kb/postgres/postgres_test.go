package postgres_test

import (
	"strings"
	"testing"

	"github.com/mainstay-dev/mainstay/kb"
	"github.com/mainstay-dev/mainstay/kb/enginetest"
)

func TestEngine(t *testing.T) {
	if database.skip != "" {
		t.Skip(database.skip)
	}
	enginetest.Run(t, func(t testing.TB) kb.Engine {
		if strings.HasSuffix(t.Name(), "/closed") {
			return opened(t, schema(t)) // Which is closed in earnest.
		}
		return lend(t)
	})
}
