package plugins_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/mainstay-dev/mainstay/plugins"
)

// A runtime that passes the task on to the model.
func ExampleServe() {
	plugins.Serve(plugins.Info{Name: "echo", Version: "1"}, func(ctx context.Context, run *plugins.Run) (string, error) {
		answer, err := run.Model(ctx, plugins.ModelRequest{Messages: run.Conversation()}, nil)
		return answer.Text, err
	})
}

// An agent that has its output checked, and mended by the model, where the host asks for it.
func ExampleRun_Check() {
	_ = func(ctx context.Context, run *plugins.Run) (string, error) {
		messages := run.Conversation()
		for {
			answer, err := run.Model(ctx, plugins.ModelRequest{Messages: messages, OutputSchema: run.OutputSchema()}, nil)
			if err != nil {
				return "", err
			}
			problem, err := run.Check(ctx, answer.Text)
			if err != nil || problem == "" {
				return answer.Text, err
			}
			messages = append(messages, plugins.Message{Role: plugins.RoleAssistant, Text: answer.Text},
				plugins.Message{Role: plugins.RoleUser, Text: problem})
		}
	}
}

// Two reviews at once, each in a lane of its own. review asks the model and calls a tool.
func ExampleRun_Lane() {
	_ = func(ctx context.Context, run *plugins.Run) (string, error) {
		reviews, err := reviewInLanes(ctx, run, []string{"a.go", "b.go"})
		return strings.Join(reviews, "\n"), err
	}
}

// review is one branch of the examples with lanes.
func review(ctx context.Context, run *plugins.Run, file string) (string, error) {
	if _, err := run.CallTool(ctx, plugins.ToolUse{ID: "read " + file, Name: "read"}); err != nil {
		return "", err
	}
	answer, err := run.Model(ctx, plugins.ModelRequest{Messages: []plugins.Message{{Role: plugins.RoleUser, Text: "Review " + file}}}, nil)
	return answer.Text, err
}

func reviewInOneLane(ctx context.Context, run *plugins.Run, files []string) ([]string, error) {
	reviews := make([]string, len(files))
	errs := make([]error, len(files))
	var branches sync.WaitGroup
	for i, file := range files {
		branches.Go(func() {
			reviews[i], errs[i] = review(ctx, run, file)
		})
	}
	branches.Wait()
	return reviews, errors.Join(errs...)
}

func reviewInLanes(ctx context.Context, run *plugins.Run, files []string) ([]string, error) {
	reviews := make([]string, len(files))
	errs := make([]error, len(files))
	var branches sync.WaitGroup
	for i, file := range files {
		branches.Go(func() {
			reviews[i], errs[i] = review(ctx, run.Lane(fmt.Sprint("review/", i)), file)
		})
	}
	branches.Wait()
	return reviews, errors.Join(errs...)
}
