package main

import (
	"context"
	"errors"
	"os"
	"strings"
	"syscall"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/mainstay-dev/mainstay/plugins/pluginpb"
)

// server is the SDK's, with a fault in what goes over the stream.
type server struct {
	pluginpb.RuntimeServer
	fault string
}

func (s *server) Describe(ctx context.Context, r *pluginpb.DescribeRequest) (*pluginpb.DescribeResponse, error) {
	info, err := s.RuntimeServer.Describe(ctx, r)
	if s.fault == "speaks-2" {
		info.ProtocolVersions = []uint32{2}
	}
	return info, err
}

func (s *server) Run(stream grpc.BidiStreamingServer[pluginpb.HostMessage, pluginpb.AgentMessage]) error {
	if s.fault == "prints-long" {
		_, _ = syscall.Write(1, []byte(strings.Repeat("x", 100<<10)))
	}
	if s.fault == "waits-for-start" {
		for {
			if _, err := stream.Recv(); err != nil {
				<-stream.Context().Done()
				return nil
			}
		}
	}
	err := s.RuntimeServer.Run(&faulty{BidiStreamingServer: stream, fault: s.fault})
	if s.fault == "ends-badly" {
		return status.Error(codes.Internal, "it is over")
	}
	return err
}

// faulty is a stream whose messages are changed.
type faulty struct {
	grpc.BidiStreamingServer[pluginpb.HostMessage, pluginpb.AgentMessage]
	fault   string
	started bool
}

func (f *faulty) Recv() (*pluginpb.HostMessage, error) {
	for {
		m, err := f.BidiStreamingServer.Recv()
		switch {
		case f.fault == "dies-of-garbage" && status.Code(err) == codes.Internal:
			os.Exit(4)
		case f.fault == "waits-for-ever" && err != nil:
			<-f.Context().Done()
		case f.fault == "ignores-cancel" && m.GetCancel() != nil:
			continue
		case f.fault == "is-strict" && err == nil && m.GetBody() == nil:
			return nil, errors.New("an unknown message")
		case f.fault == "dies-of-start" && m.GetStart() != nil && f.started:
			os.Exit(4)
		case f.fault == "dies-of-answer" && m.GetAnswer() != nil && m.GetAnswer().GetBody() == nil:
			os.Exit(4)
		}
		f.started = true
		return m, err
	}
}

func (f *faulty) Send(m *pluginpb.AgentMessage) error {
	request := m.GetRequest()
	switch {
	case f.fault == "forgets-task" && request.GetModel() != nil:
		request.GetModel().Messages = nil
	case f.fault == "uses-no-ids" && request != nil:
		request.Id = 0
	case f.fault == "breaks-rules" && request != nil:
		request.Lane = "a lane"
	case f.fault == "ends-twice" && request == nil:
		if err := f.BidiStreamingServer.Send(m); err != nil {
			return err
		}
	case f.fault == "never-ends" && request == nil:
		<-f.Context().Done()
	case f.fault == "dies-of-size" && m.GetFailure() != nil && strings.Contains(m.GetFailure().GetMessage(), "that fit a message"):
		os.Exit(4)
	case f.fault == "has-no-bound" && request.GetTool() != nil:
		// The SDK keeps to the bound, so each call is made twice.
		again := &pluginpb.Request{Id: request.GetId() + 1<<32, Lane: request.GetLane(), Body: &pluginpb.Request_Random{Random: &pluginpb.RandomRequest{Bytes: 1}}}
		if err := f.BidiStreamingServer.Send(m); err != nil {
			return err
		}
		return f.BidiStreamingServer.Send(&pluginpb.AgentMessage{Body: &pluginpb.AgentMessage_Request{Request: again}})
	}
	return f.BidiStreamingServer.Send(m)
}
