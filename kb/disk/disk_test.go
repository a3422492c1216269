package disk_test

import (
	"testing"

	"github.com/mainstay-dev/mainstay/kb"
	"github.com/mainstay-dev/mainstay/kb/disk"
	"github.com/mainstay-dev/mainstay/kb/enginetest"
)

func TestEngine(t *testing.T) {
	enginetest.Run(t, func(t testing.TB) kb.Engine {
		e, err := disk.Open(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		return e
	})
}
