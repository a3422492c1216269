// Command runtime is a runtime with one fault, which its argument names; each is there to be found by a check. Without a fault,
// as "good", and as "lanes", which gives every call a lane of its own, it passes them all.
package main

import (
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	"github.com/mainstay-dev/mainstay/plugins"
)

func main() {
	fault := os.Args[1]
	handshake(fault)
	info := plugins.Info{Name: "faulty", Version: "1", Features: []string{plugins.FeatureImages}}
	switch fault {
	case "nameless":
		info.Name = ""
	case "never-checks":
		info.Features = append(info.Features, plugins.FeatureCheck)
	case "ignores-sigterm":
		signal.Ignore(syscall.SIGTERM)
	}
	limit := plugins.MaxMessage
	if fault == "takes-little" {
		limit = 1 << 20
	}
	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig: plugins.Handshake,
		Plugins:         plugin.PluginSet{plugins.Name: &plugins.Plugin{Runtime: &server{RuntimeServer: plugins.NewServer(info, agent(fault)), fault: fault}}},
		GRPCServer: func(opts []grpc.ServerOption) *grpc.Server {
			return grpc.NewServer(append(opts, grpc.MaxRecvMsgSize(limit), grpc.MaxSendMsgSize(plugins.MaxMessage))...)
		},
		Logger: hclog.NewNullLogger(),
	})
	if fault == "stays" {
		select {}
	}
}

// handshake is where a runtime goes wrong before it is one.
func handshake(fault string) {
	socket := filepath.Join(os.Getenv("PLUGIN_UNIX_SOCKET_DIR"), "socket")
	listen := func(path string) {
		if _, err := net.Listen("unix", path); err != nil {
			panic(err)
		}
	}
	switch fault {
	case "says-nothing":
		if len(os.Args) > 2 { // It says that it was started to whoever asks.
			if err := os.WriteFile(os.Args[2], []byte("yes"), 0o600); err != nil {
				panic(err)
			}
		}
		select {}
	case "exits":
		fmt.Fprintln(os.Stderr, "no graph was found")
		os.Exit(3)
	case "chatters":
		fmt.Println("Welcome!")
		select {}
	case "chatters-long":
		fmt.Println(strings.Repeat("Welcome! ", 1000))
		select {}
	case "no-newline":
		fmt.Print("1|1|unix|")
		select {}
	case "tcp":
		fmt.Println("1|1|tcp|127.0.0.1:1|grpc")
		select {}
	case "netrpc":
		listen(socket)
		fmt.Println("1|1|unix|" + socket + "|netrpc")
		select {}
	case "version-2":
		listen(socket)
		fmt.Println("1|2|unix|" + socket + "|grpc")
		select {}
	case "elsewhere":
		elsewhere := filepath.Join(os.Getenv("TMPDIR"), "socket")
		listen(elsewhere)
		fmt.Println("1|1|unix|" + elsewhere + "|grpc")
		select {}
	case "no-socket":
		fmt.Println("1|1|unix|" + socket + "|grpc")
		select {}
	case "no-health":
		l, err := net.Listen("unix", socket)
		if err != nil {
			panic(err)
		}
		fmt.Println("1|1|unix|" + socket + "|grpc")
		panic(grpc.NewServer().Serve(l))
	}
}
