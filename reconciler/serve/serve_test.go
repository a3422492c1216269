package serve_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/mainstay-dev/mainstay/reconciler/serve"
	"github.com/mainstay-dev/mainstay/spec"
)

type state struct{ Answer int }

func start(t *testing.T, views serve.Views) (path string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "serve") // t.TempDir may be too long for a socket.
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(dir, "d.sock")
	// What a process that was killed left behind must not be in the way.
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- serve.Run(ctx, path, serve.Handler(views)) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
		os.RemoveAll(dir)
	})
	client := serve.Dial(path)
	for {
		var s state
		if err := client.Status(t.Context(), &s); !errors.Is(err, serve.ErrNotServing) {
			return path
		}
	}
}

func TestAClientIsAnsweredOnASocketForTheOwnerAlone(t *testing.T) {
	path := start(t, serve.Views{
		Status: func(context.Context) (any, error) { return state{42}, nil },
		Runs:   func(_ context.Context, query url.Values) (any, error) { return query, nil },
		Record: func(_ context.Context, run spec.RunID) ([]spec.Entry, error) {
			switch run {
			case "known":
				return []spec.Entry{{Type: spec.EntryTask}}, nil
			case "damaged":
				return nil, errors.New("the record is damaged")
			}
			return nil, fs.ErrNotExist
		},
	})
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("the socket's mode is %v", info.Mode().Perm())
	}
	client := serve.Dial(path)
	var s state
	if err := client.Status(t.Context(), &s); err != nil || s.Answer != 42 {
		t.Errorf("the state is %+v, %v", s, err)
	}
	asked, got := url.Values{"agent": {"a&b"}, "limit": {"3"}}, url.Values{}
	if err := client.Runs(t.Context(), asked, &got); err != nil || !reflect.DeepEqual(got, asked) {
		t.Errorf("the query arrives as %v, %v", got, err)
	}
	if entries, err := client.Record(t.Context(), "known"); err != nil || len(entries) != 1 {
		t.Errorf("the record is %+v, %v", entries, err)
	}
	if _, err := client.Record(t.Context(), "unknown"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an unknown run: %v", err)
	}
	if _, err := client.Record(t.Context(), "damaged"); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a damaged record: %v", err)
	}
}

func TestARunIsCancelledThroughTheSocket(t *testing.T) {
	path := start(t, serve.Views{
		Status: func(context.Context) (any, error) { return state{}, nil },
		Cancel: func(_ context.Context, run spec.RunID, c serve.Cancel) (any, error) {
			if run != "known" {
				return nil, fs.ErrNotExist
			}
			return []string{c.By, c.Reason}, nil
		},
	})
	client := serve.Dial(path)
	var got []string
	if err := client.Cancel(t.Context(), "known", serve.Cancel{By: "ada", Reason: "late"}, &got); err != nil || len(got) != 2 || got[0] != "ada" || got[1] != "late" {
		t.Errorf("got %v, %v", got, err)
	}
	if err := client.Cancel(t.Context(), "unknown", serve.Cancel{By: "ada"}, &got); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an unknown run: %v", err)
	}
	if err := client.Cancel(t.Context(), "known", serve.Cancel{}, &got); err == nil {
		t.Error("nobody has cancelled it")
	}
}

func TestARefusalReachesTheClientWithItsReason(t *testing.T) {
	no := errors.New("trigger nightly is not declared: `mainstay get resources` lists what is")
	path := start(t, serve.Views{
		Status: func(context.Context) (any, error) { return state{}, nil },
		Runs:   func(context.Context, url.Values) (any, error) { return nil, no },
		Suspensions: serve.Suspensions{
			Suspend: func(context.Context, serve.Suspend) error { return no },
			Resume:  func(context.Context, serve.Suspend) (bool, error) { return false, no },
		},
	})
	client := serve.Dial(path)
	_, resumed := client.Resume(t.Context(), serve.Suspend{By: "ada"})
	for call, err := range map[string]error{
		"suspend": client.Suspend(t.Context(), serve.Suspend{By: "ada"}), "resume": resumed, "runs": client.Runs(t.Context(), nil, &state{}),
	} {
		if err == nil || err.Error() != no.Error() {
			t.Errorf("%s: got %v", call, err)
		}
	}
	if err := client.Suspend(t.Context(), serve.Suspend{}); err == nil || !strings.Contains(err.Error(), `send {"ref"`) {
		t.Errorf("nobody asks: %v", err)
	}
}

func TestNobodyServing(t *testing.T) {
	var s state
	if err := serve.Dial(filepath.Join(t.TempDir(), "none.sock")).Status(t.Context(), &s); !errors.Is(err, serve.ErrNotServing) {
		t.Errorf("got %v", err)
	}
}

func TestAConversationIsHeldLineByLine(t *testing.T) {
	cancelled := ""
	path := start(t, serve.Views{Status: func(context.Context) (any, error) { return state{}, nil }, Threads: serve.Threads{
		List: func(context.Context) (any, error) { return []string{"a"}, nil },
		Read: func(_ context.Context, id string) (any, error) {
			if id != "a" {
				return nil, fmt.Errorf("thread %s: %w", id, fs.ErrNotExist)
			}
			return state{1}, nil
		},
		Delete: func(_ context.Context, id string) error { return fmt.Errorf("thread %s is busy", id) },
		Cancel: func(_ context.Context, id string) error { cancelled = id; return nil },
		Say: func(_ context.Context, id string, m serve.Said, emit func(v any) error) error {
			if m.Agent == "nobody" {
				return errors.New("no agent nobody")
			}
			for n := range 3 {
				if err := emit(state{n}); err != nil {
					return err
				}
			}
			if m.Text == "fail" {
				return errors.New("it failed half-way")
			}
			return emit(m)
		},
		Follow: func(context.Context, string, func(v any) error) error { return nil },
	}})
	client, ctx := serve.Dial(path), t.Context()
	var list []string
	if err := client.Threads(ctx, &list); err != nil || len(list) != 1 {
		t.Errorf("the list is %v, %v", list, err)
	}
	var s state
	if err := client.Thread(ctx, "a", &s); err != nil || s.Answer != 1 {
		t.Errorf("the thread is %v, %v", s, err)
	}
	if err := client.Thread(ctx, "../status", &s); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a thread that is none: %v", err)
	}
	if err := client.DeleteThread(ctx, "a"); err == nil || err.Error() != "thread a is busy" {
		t.Errorf("deleted: %v", err)
	}
	if err := client.CancelThread(ctx, "a"); err != nil || cancelled != "a" {
		t.Errorf("cancelled %q: %v", cancelled, err)
	}
	said := func(m serve.Said) (lines string, err error) {
		err = client.Say(ctx, "a", m, func(line []byte) error { lines += string(line) + "\n"; return nil })
		return lines, err
	}
	if lines, err := said(serve.Said{Agent: "keeper", Text: "hello\nthere"}); err != nil ||
		lines != "{\"Answer\":0}\n{\"Answer\":1}\n{\"Answer\":2}\n{\"agent\":\"keeper\",\"text\":\"hello\\nthere\"}\n" {
		t.Errorf("it says %s, %v", lines, err)
	}
	if lines, err := said(serve.Said{Agent: "keeper", Text: "fail"}); err == nil || err.Error() != "it failed half-way" || strings.Count(lines, "\n") != 3 {
		t.Errorf("it says %s, %v", lines, err)
	}
	if lines, err := said(serve.Said{Agent: "nobody"}); err == nil || err.Error() != "no agent nobody" || lines != "" {
		t.Errorf("it says %s, %v", lines, err)
	}
	if _, err := said(serve.Said{Text: strings.Repeat("x", 5<<20)}); err == nil || !strings.Contains(err.Error(), "the message is malformed") {
		t.Errorf("a message without end: %v", err)
	}
	if err := client.Follow(ctx, "a", func([]byte) error { return errors.New("a line") }); err != nil {
		t.Errorf("followed: %v", err)
	}
}
