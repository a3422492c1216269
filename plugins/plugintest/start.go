package plugintest

import (
	"context"
	"fmt"
	"slices"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/mainstay-dev/mainstay/plugins"
	"github.com/mainstay-dev/mainstay/plugins/pluginpb"
)

var startChecks = []check{
	{
		"start", "starts, prints the handshake line and answers the health service",
		"It must be executable (chmod +x), listen on a unix socket in the folder, and print the line before anything else. See \"The process\" in plugins/README.md.",
		starts,
	}, {
		"describe", "says its name, its version and that it speaks version 1 of the protocol",
		"Answer Describe with name, version and protocol_versions [1].",
		describes,
	},
}

func starts(t *trial) {
	p := t.process()
	// go-plugin opens its own streams too. A runtime that knows neither says so and lives on.
	ctx, cancel := context.WithCancel(t.ctx)
	defer cancel()
	for _, method := range []string{"/plugin.GRPCBroker/StartStream", "/plugin.GRPCStdio/StreamStdio"} {
		stream, err := p.conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, method)
		if err == nil {
			_ = stream.SendMsg(&emptypb.Empty{})
		}
	}
}

func describes(t *trial) {
	p := t.process()
	ctx, cancel := context.WithTimeout(t.ctx, t.patience())
	defer cancel()
	const expected = "a name, a version, and protocol_versions with 1 in it"
	info, err := p.runtime.Describe(ctx, &pluginpb.DescribeRequest{})
	if err != nil {
		t.stop(expected, "%s", p.why(err))
	}
	if info.GetName() == "" || info.GetVersion() == "" || !slices.Contains(info.GetProtocolVersions(), plugins.ProtocolVersion) {
		t.fail(expected, "name %q, version %q, protocol_versions %v", info.GetName(), info.GetVersion(), info.GetProtocolVersions())
	}
	for _, feature := range info.GetFeatures() {
		if feature == "" || len(feature) > plugins.MaxLane {
			t.fail("features that are words", "%s", fmt.Sprintf("%.100q", feature))
		}
	}
}

// has reports whether the runtime says that it has a feature.
func (t *trial) has(feature string) bool {
	ctx, cancel := context.WithTimeout(t.ctx, t.patience())
	defer cancel()
	info, err := t.process().runtime.Describe(ctx, &pluginpb.DescribeRequest{})
	return err == nil && slices.Contains(info.GetFeatures(), feature)
}
