// Package plugins is how an agent runtime is written: the protocol between Mainstay and a runtime, and a small SDK for
// runtimes in Go.
//
// A runtime is an executable that can be an agent. Mainstay starts one process for each agent through
// HashiCorp go-plugin (https://github.com/hashicorp/go-plugin), with no environment, no network and no secret, and opens
// one stream for each run. Over it the agent asks for all that it needs: a model's answer, a tool call, the time, random
// bytes. The protocol is proto/mainstay/runtime/v1/runtime.proto; package pluginpb is generated from it, package
// plugintest is the suite that every runtime passes, and package loop is the smallest useful runtime.
//
// What a request says is kept by the host as canonical JSON, see [Canonical], and never as protocol buffers: the types in
// this package are that JSON. A run is resumed by running the agent again and answering its requests from the record, so
// an agent must ask the same things in the same order when it gets the same answers. Take time and randomness from the
// [Run], and do not let the order of a map reach a request.
//
// The package keeps no state and never reads files, the environment or the network beyond what go-plugin needs.
package plugins
