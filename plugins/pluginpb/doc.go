// Package pluginpb is generated from proto/mainstay/runtime/v1/runtime.proto: the messages and the gRPC service between
// Mainstay and a runtime. `go generate ./plugins/...` makes it again; it needs protoc.
package pluginpb

//go:generate sh -c "protoc -I ../proto --plugin=protoc-gen-go=$(go tool -n protoc-gen-go) --plugin=protoc-gen-go-grpc=$(go tool -n protoc-gen-go-grpc) --go_out=. --go_opt=module=github.com/mainstay-dev/mainstay/plugins/pluginpb --go-grpc_out=. --go-grpc_opt=module=github.com/mainstay-dev/mainstay/plugins/pluginpb mainstay/runtime/v1/runtime.proto"
