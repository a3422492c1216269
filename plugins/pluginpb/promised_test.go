package pluginpb_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/mainstay-dev/mainstay/plugins/pluginpb"
)

const baseline = "../proto/baseline.json"

var update = flag.Bool("update", false, "add what is new in the protocol to "+baseline)

// promises lists what a peer relies on, one sentence each: every message, field, service and method, with all that may not
// change of it.
func promises(file *descriptorpb.FileDescriptorProto) []string {
	list := []string{"package " + file.GetPackage() + ", " + file.GetSyntax()}
	for _, m := range file.GetMessageType() {
		list = append(list, messagePromises("", m)...)
	}
	for _, e := range file.GetEnumType() {
		list = append(list, "enum "+described(e))
	}
	for _, s := range file.GetService() {
		for _, m := range s.GetMethod() {
			list = append(list, fmt.Sprintf("method %s.%s %s", s.GetName(), m.GetName(), described(m)))
		}
	}
	return list
}

func messagePromises(in string, m *descriptorpb.DescriptorProto) []string {
	name := in + m.GetName()
	list := []string{"message " + name}
	for _, f := range m.GetField() {
		text := fmt.Sprintf("field %s.%s: number %d, %s %s %s", name, f.GetName(), f.GetNumber(), f.GetLabel(), f.GetType(), f.GetTypeName())
		if f.OneofIndex != nil {
			text += ", in the oneof " + m.GetOneofDecl()[f.GetOneofIndex()].GetName()
		}
		list = append(list, text)
	}
	for _, e := range m.GetEnumType() {
		list = append(list, "enum "+name+"."+described(e))
	}
	for _, nested := range m.GetNestedType() {
		list = append(list, messagePromises(name+".", nested)...)
	}
	return list
}

func described(m proto.Message) string {
	b, err := protojson.Marshal(m)
	if err != nil {
		return err.Error()
	}
	return compact(b)
}

// compact takes out the blanks that protojson puts in at random.
func compact(b []byte) string {
	var out bytes.Buffer
	if err := json.Compact(&out, b); err != nil {
		return err.Error()
	}
	return out.String()
}

func readBaseline(t *testing.T) *descriptorpb.FileDescriptorProto {
	t.Helper()
	b, err := os.ReadFile(baseline)
	if err != nil {
		t.Fatal(err)
	}
	var set descriptorpb.FileDescriptorSet
	if err := protojson.Unmarshal(b, &set); err != nil || len(set.GetFile()) != 1 {
		t.Fatalf("%s: %v, %d files", baseline, err, len(set.GetFile()))
	}
	return set.GetFile()[0]
}

// broken returns the promises of before that after does not keep.
func broken(before, after *descriptorpb.FileDescriptorProto) []string {
	kept := promises(after)
	return slices.DeleteFunc(promises(before), func(p string) bool { return slices.Contains(kept, p) })
}

func TestWhatIsPromisedIsKept(t *testing.T) {
	now := protodesc.ToFileDescriptorProto(pluginpb.File_mainstay_runtime_v1_runtime_proto)
	promised := readBaseline(t)
	for _, p := range broken(promised, now) {
		t.Errorf("the protocol does not have any more: %s", p)
	}
	if t.Failed() {
		t.Fatal("runtimes that exist rely on it: put it back, and add something new beside it; version 1 only grows")
	}
	added := broken(now, promised)
	if len(added) == 0 {
		return
	}
	if !*update {
		t.Fatalf("the protocol has what %s does not promise: %s\nafter a review, add it with `go test ./plugins/pluginpb -run Promised -update`",
			baseline, strings.Join(added, "\n"))
	}
	b, err := protojson.Marshal(&descriptorpb.FileDescriptorSet{File: []*descriptorpb.FileDescriptorProto{now}})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := json.Indent(&out, []byte(compact(b)), "", " "); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(baseline, append(out.Bytes(), '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestABrokenPromiseIsSeen(t *testing.T) {
	for name, change := range map[string]func(*descriptorpb.FileDescriptorProto){
		"a field is gone": func(f *descriptorpb.FileDescriptorProto) {
			m := message(f, "Start")
			m.Field = m.Field[1:]
		},
		"a field has another number": func(f *descriptorpb.FileDescriptorProto) { message(f, "Start").Field[0].Number = proto.Int32(99) },
		"a field has another type": func(f *descriptorpb.FileDescriptorProto) {
			message(f, "Start").Field[0].Type = descriptorpb.FieldDescriptorProto_TYPE_BYTES.Enum()
		},
		"a field is repeated": func(f *descriptorpb.FileDescriptorProto) {
			message(f, "Start").Field[0].Label = descriptorpb.FieldDescriptorProto_LABEL_REPEATED.Enum()
		},
		"a field leaves its oneof":     func(f *descriptorpb.FileDescriptorProto) { message(f, "Answer").Field[1].OneofIndex = nil },
		"a message is gone":            func(f *descriptorpb.FileDescriptorProto) { f.MessageType = f.MessageType[1:] },
		"a method is gone":             func(f *descriptorpb.FileDescriptorProto) { f.Service[0].Method = f.Service[0].Method[1:] },
		"a method streams no more":     func(f *descriptorpb.FileDescriptorProto) { f.Service[0].Method[1].ServerStreaming = nil },
		"the package has another name": func(f *descriptorpb.FileDescriptorProto) { f.Package = proto.String("mainstay.runtime.v2") },
	} {
		before := readBaseline(t)
		after := proto.Clone(before).(*descriptorpb.FileDescriptorProto)
		change(after)
		if len(broken(before, after)) == 0 {
			t.Errorf("%s, and nothing is said", name)
		}
	}
}

func message(f *descriptorpb.FileDescriptorProto, name string) *descriptorpb.DescriptorProto {
	i := slices.IndexFunc(f.MessageType, func(m *descriptorpb.DescriptorProto) bool { return m.GetName() == name })
	return f.MessageType[i]
}
