package secret

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mainstay-dev/mainstay/spec"
)

// A read that never ends keeps nobody from going on, and is not begun a second time. When it ends after all, the next one
// reads anew.
func TestAReadThatDoesNotEndIsLeftBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p patient
		hangs := make(chan struct{})
		var begun atomic.Int32
		hanging := func(string) (string, error) {
			begun.Add(1)
			<-hangs
			return "too late", nil
		}
		for range 3 {
			if _, err := p.read(t.Context(), "/gone", time.Second, hanging); err == nil || !strings.Contains(err.Error(), "does not end within 1s: it waits") {
				t.Error(err)
			}
		}
		if begun.Load() != 1 {
			t.Errorf("it was begun %d times", begun.Load())
		}
		if text, err := p.read(t.Context(), "/here", time.Second, func(path string) (string, error) { return path, nil }); text != "/here" || err != nil {
			t.Errorf("another file: %q, %v", text, err)
		}
		close(hangs)
		synctest.Wait()
		if text, err := p.read(t.Context(), "/gone", time.Second, func(string) (string, error) { return "back", nil }); text != "back" || err != nil {
			t.Errorf("after it has ended: %q, %v", text, err)
		}
	})
}

// Who waits for a read that another has begun reads for himself afterwards: the file may have changed in between.
func TestWhoWaitsReadsAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p patient
		first := make(chan struct{})
		go func() {
			_, _ = p.read(t.Context(), "/file", time.Second, func(string) (string, error) {
				<-first
				return "old", nil
			})
		}()
		synctest.Wait()
		got := make(chan string)
		go func() {
			text, _ := p.read(t.Context(), "/file", time.Second, func(string) (string, error) { return "new", nil })
			got <- text
		}()
		synctest.Wait()
		close(first)
		if text := <-got; text != "new" {
			t.Errorf("got %q", text)
		}
	})
}

func TestWhoIsToldToStopStopsReading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p patient
		hangs := make(chan struct{})
		defer close(hangs)
		ctx, cancel := context.WithCancel(t.Context())
		began := time.Now()
		time.AfterFunc(time.Millisecond, cancel)
		_, err := p.read(ctx, "/gone", time.Minute, func(string) (string, error) { <-hangs; return "", nil })
		if !errors.Is(err, context.Canceled) || time.Since(began) != time.Millisecond {
			t.Errorf("%v after %s", err, time.Since(began))
		}
	})
}

// The kernel's log is a regular file that waits for the kernel to say something.
func TestARegularFileMayWait(t *testing.T) {
	f, err := os.Open("/proc/kmsg")
	if err != nil {
		t.Skip("the log of the kernel is for root, on Linux:", err)
	}
	defer f.Close()
	r := New(Options{Patience: 10 * time.Millisecond})
	value, err := r.Resolve(t.Context(), spec.SecretRef{File: "/proc/kmsg"})
	if err == nil { // The kernel has said something meanwhile.
		t.Skipf("the kernel has said %d bytes meanwhile", len(value.Reveal()))
	}
	if !strings.Contains(err.Error(), "resolve the file /proc/kmsg: reading it does not end within 10ms: ") {
		t.Error(err)
	}
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("s3cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if value, err := r.Resolve(t.Context(), spec.SecretRef{File: token}); err != nil || value.Reveal() != "s3cret" {
		t.Errorf("another file: %v", err)
	}
}
