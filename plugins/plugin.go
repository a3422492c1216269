package plugins

import (
	"context"
	"fmt"

	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	"github.com/mainstay-dev/mainstay/plugins/pluginpb"
)

// ProtocolVersion is the version of the protocol that this package speaks.
const ProtocolVersion = 1

// Name is the name under which go-plugin knows the service.
const Name = "runtime"

// Handshake tells a runtime that Mainstay started it, and not a person. It protects nothing.
var Handshake = plugin.HandshakeConfig{
	ProtocolVersion:  ProtocolVersion,
	MagicCookieKey:   "MAINSTAY_RUNTIME",
	MagicCookieValue: "agent",
}

// Plugin joins the service to go-plugin. The host leaves Runtime nil.
type Plugin struct {
	plugin.NetRPCUnsupportedPlugin
	Runtime pluginpb.RuntimeServer
}

// GRPCServer registers the runtime.
func (p *Plugin) GRPCServer(_ *plugin.GRPCBroker, s *grpc.Server) error {
	if p.Runtime == nil {
		return fmt.Errorf("register the runtime: there is no server")
	}
	pluginpb.RegisterRuntimeServer(s, p.Runtime)
	return nil
}

// GRPCClient returns a pluginpb.RuntimeClient.
func (p *Plugin) GRPCClient(_ context.Context, _ *plugin.GRPCBroker, conn *grpc.ClientConn) (any, error) {
	return pluginpb.NewRuntimeClient(conn), nil
}
