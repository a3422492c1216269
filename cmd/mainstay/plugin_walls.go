package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/mainstay-dev/mainstay/plugins"
	"github.com/mainstay-dev/mainstay/plugins/plugintest"
	"github.com/mainstay-dev/mainstay/reconciler/host"
	"github.com/mainstay-dev/mainstay/spec"
)

// behindWalls does one run of a runtime in a process as `mainstay run` starts it, on this machine.
func behindWalls(ctx context.Context, command []string) plugintest.Result {
	r := plugintest.Result{Check: checkWalls, Rule: "does a run behind the walls of this machine"}
	begin := time.Now()
	walls, err := runBehindWalls(ctx, command)
	r.Milliseconds = time.Since(begin).Milliseconds()
	if r.OK = err == nil; r.OK {
		r.Rule += ": " + walls
		return r
	}
	r.Failures = []plugintest.Failure{{Expected: "a start, and a run with the Result \"hello\"", Got: err.Error()}}
	r.Hint = "See \"Isolation\" in plugins/README.md for what it may not do: write files, read others', start programs, connect."
	return r
}

func runBehindWalls(ctx context.Context, command []string) (walls string, err error) {
	dir, err := os.MkdirTemp("", "mainstay")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	h := host.New(host.Options{Dir: dir, Runtimes: func(string) (host.Runtime, error) {
		return host.Runtime{Path: command[0], Args: command[1:]}, nil
	}})
	defer func() { err = errors.Join(err, h.Close(context.WithoutCancel(ctx))) }()
	const agent = spec.AgentName("tester")
	if err := h.Start(host.Agent{Name: agent, Digest: "tested", Runtime: "tested"}); err != nil {
		return "", err
	}
	session, err := h.Open(ctx, agent, host.Start{Run: "run", Task: "Say hello."})
	if err != nil {
		return "", err
	}
	defer session.Close()
	defer context.AfterFunc(ctx, session.Close)() // Recv takes no context.
	answer, err := json.Marshal(plugins.ModelAnswer{Text: "hello", Finish: plugins.FinishStop})
	if err != nil {
		return "", err
	}
	for {
		m, err := session.Recv()
		switch {
		case err != nil:
			return "", err
		case m.Request != nil && m.Request.Kind == plugins.KindModel:
			if err := session.Answer(m.ID, m.Request.Kind, spec.Answer{Body: answer}); err != nil {
				return "", err
			}
		case m.Request != nil:
			return "", fmt.Errorf("a request of kind %s: %s", m.Request.Kind, m.Request.Body)
		case m.Failure != nil:
			return "", fmt.Errorf("a Failure %q", m.Failure.Message)
		case m.Result.Output != "hello":
			return "", fmt.Errorf("a Result %q", m.Result.Output)
		default:
			return session.Isolation(), nil
		}
	}
}
