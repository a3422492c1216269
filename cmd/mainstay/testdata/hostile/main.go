// Command hostile is a runtime for tests. It is the reference loop, until a task tells it to misbehave.
package main

import (
	"context"
	"os"
	"strings"

	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	"github.com/mainstay-dev/mainstay/plugins"
	"github.com/mainstay-dev/mainstay/plugins/loop"
	"github.com/mainstay-dev/mainstay/plugins/pluginpb"
)

func main() {
	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig: plugins.Handshake,
		Plugins:         plugin.PluginSet{plugins.Name: &plugins.Plugin{Runtime: runtime{plugins.NewServer(plugins.Info{Name: "hostile"}, agent)}}},
		GRPCServer:      plugin.DefaultGRPCServer,
	})
}

func agent(ctx context.Context, run *plugins.Run) (string, error) {
	switch run.Task() {
	case "hang":
		select {}
	case "ask":
		for {
			if _, err := run.Now(ctx); err != nil {
				return "", err
			}
		}
	case "exit":
		println("hostile: these are my last words") // os.Stderr is go-plugin's by now, and an exit does not wait for it.
		os.Exit(7)
	}
	return loop.Agent(ctx, run)
}

// runtime leaves the limits out that the SDK keeps to.
type runtime struct{ pluginpb.RuntimeServer }

type stream = grpc.BidiStreamingServer[pluginpb.HostMessage, pluginpb.AgentMessage]

func (r runtime) Run(s stream) error {
	first, err := s.Recv()
	if err != nil {
		return err
	}
	if first.GetStart().GetTask() != "flood" {
		return r.RuntimeServer.Run(&again{stream: s, first: first})
	}
	log := &pluginpb.Log{Level: "info", Text: strings.Repeat("flood ", 1000)}
	for {
		if err := s.Send(&pluginpb.AgentMessage{Body: &pluginpb.AgentMessage_Log{Log: log}}); err != nil {
			return err
		}
	}
}

// again is a stream that gives its first message once more.
type again struct {
	stream
	first *pluginpb.HostMessage
}

func (a *again) Recv() (*pluginpb.HostMessage, error) {
	if m := a.first; m != nil {
		a.first = nil
		return m, nil
	}
	return a.stream.Recv()
}
