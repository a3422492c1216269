package ollamatest

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// The types of values in a GGUF file (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md).
const (
	typeUint32  = 4
	typeInt32   = 5
	typeFloat32 = 6
	typeBool    = 7
	typeString  = 8
	typeArray   = 9
)

// alignment is that of a GGUF file's tensors, in bytes.
const alignment = 32

// gguf is a model file: metadata and tensors of float32.
type gguf struct {
	values  []keyed
	tensors []tensor
}

type keyed struct {
	key   string
	value any
}

// tensor has its fastest dimension first.
type tensor struct {
	name string
	dims []uint64
	data []float32
}

func (g *gguf) set(key string, value any) { g.values = append(g.values, keyed{key, value}) }

func (g *gguf) add(name string, data []float32, dims ...uint64) {
	g.tensors = append(g.tensors, tensor{name, dims, data})
}

// bytes writes the file.
func (g *gguf) bytes() []byte {
	var b bytes.Buffer
	b.WriteString("GGUF")
	put(&b, uint32(3), uint64(len(g.tensors)), uint64(len(g.values)))
	for _, v := range g.values {
		putString(&b, v.key)
		putValue(&b, v.value)
	}
	offset := uint64(0)
	for _, t := range g.tensors {
		putString(&b, t.name)
		put(&b, uint32(len(t.dims)), t.dims, uint32(0), offset) // 0 is float32.
		offset += aligned(4 * len(t.data))
	}
	pad(&b)
	for _, t := range g.tensors {
		put(&b, t.data)
		pad(&b)
	}
	return b.Bytes()
}

func aligned(n int) uint64 { return (uint64(n) + alignment - 1) / alignment * alignment }

func pad(b *bytes.Buffer) { b.Write(make([]byte, aligned(b.Len())-uint64(b.Len()))) }

func put(b *bytes.Buffer, values ...any) {
	for _, v := range values {
		if err := binary.Write(b, binary.LittleEndian, v); err != nil {
			panic(err) // A type of no fixed size, which is a fault of this package.
		}
	}
}

func putString(b *bytes.Buffer, s string) {
	put(b, uint64(len(s)))
	b.WriteString(s)
}

func putValue(b *bytes.Buffer, value any) {
	switch v := value.(type) {
	case string:
		put(b, uint32(typeString))
		putString(b, v)
	case uint32:
		put(b, uint32(typeUint32), v)
	case float32:
		put(b, uint32(typeFloat32), v)
	case bool:
		put(b, uint32(typeBool), v)
	case []string:
		put(b, uint32(typeArray), uint32(typeString), uint64(len(v)))
		for _, s := range v {
			putString(b, s)
		}
	case []float32:
		put(b, uint32(typeArray), uint32(typeFloat32), uint64(len(v)), v)
	case []int32:
		put(b, uint32(typeArray), uint32(typeInt32), uint64(len(v)), v)
	default:
		panic(fmt.Sprintf("a GGUF file cannot hold a %T", v))
	}
}
