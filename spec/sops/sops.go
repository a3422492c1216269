// Package sops reads the YAML and JSON files that SOPS (https://getsops.io) has encrypted for age recipients: it checks
// them without a key, and decrypts them with one. What it decrypts is authenticated as SOPS does it: each value with its
// path, and all values together by the file's MAC.
//
// SOPS's own module is not used, because each of its packages that reads a file links the clients of every cloud: 57 MB,
// and 50 ms at every start. The tests read files that it wrote.
package sops

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/mainstay-dev/mainstay/spec/near"
)

// The bounds of a file.
const (
	// MaxFile is the largest file that is read, in bytes.
	MaxFile = 1 << 20

	maxDepth  = 64
	maxValues = 10_000
)

// Error says what is wrong with a file, without anything that is in it but names, and what to do.
type Error struct{ Summary, Hint string }

// Error returns both as one line.
func (e *Error) Error() string {
	if e.Hint == "" {
		return e.Summary
	}
	return e.Summary + " (" + e.Hint + ")"
}

func wrong(hint, format string, args ...any) error {
	return &Error{Summary: fmt.Sprintf(format, args...), Hint: hint}
}

// File is an encrypted file.
type File struct {
	name       string
	leaves     []leaf
	metadata   metadata
	recipients []Recipient
}

// Recipient is an age recipient, and the file's key as it is encrypted for that one.
type Recipient struct {
	// Name is the public key.
	Name string
	// Encrypted is the key in age's armored form.
	Encrypted string
}

// metadata is what SOPS keeps beside the values.
type metadata struct {
	Age []struct {
		Recipient string `json:"recipient"`
		Enc       string `json:"enc"`
	} `json:"age"`
	KeyGroups        []any  `json:"key_groups"`
	ShamirThreshold  int    `json:"shamir_threshold"`
	LastModified     string `json:"lastmodified"`
	MAC              string `json:"mac"`
	MACOnlyEncrypted bool   `json:"mac_only_encrypted"`
}

// leaf is a single value.
type leaf struct {
	// names are the fields that lead to the value. A value in a list has the names that lead to the list.
	names []string
	// listed says that the value is in a list, where no key names it.
	listed bool
	value  any // nil, bool, int64, float64, string or time.Time
}

// key is the dotted name of a value.
func (l leaf) key() string { return strings.Join(l.names, ".") }

// sealed returns the value if it is encrypted.
func (l leaf) sealed() (string, bool) {
	text, ok := l.value.(string)
	return text, ok && sealedValue.MatchString(text)
}

// Parse reads a file, whose name says whether it is YAML or JSON. The error is an [*Error].
func Parse(name string, content []byte) (*File, error) {
	if len(content) > MaxFile {
		return nil, wrong("split it", "it is larger than %d KiB", MaxFile>>10)
	}
	var tree *tree
	var err error
	switch path.Ext(name) {
	case ".yaml", ".yml":
		tree, err = readYAML(content)
	case ".json":
		tree, err = readJSON(content)
	default:
		return nil, wrong("name it .yaml or .json", "it is neither YAML nor JSON")
	}
	if err != nil {
		return nil, err
	}
	f := &File{name: name}
	var found bool
	for _, field := range tree.fields {
		if field.name == "sops" {
			found = true
			if err := field.value.into(&f.metadata); err != nil {
				return nil, wrong("encrypt it anew with sops", "its sops metadata cannot be read")
			}
			continue
		}
		f.flatten([]string{field.name}, false, field.value)
	}
	m := f.metadata
	if !found || m.MAC == "" {
		return nil, wrong("encrypt it with sops encrypt --in-place "+name+", and make new secrets of those that were committed in the clear", "it is not encrypted: it has no metadata of SOPS")
	}
	if len(m.KeyGroups) > 0 || m.ShamirThreshold > 1 {
		return nil, wrong("encrypt it for age recipients without key groups", "its key is split among groups, which Mainstay cannot put together")
	}
	for _, r := range m.Age {
		f.recipients = append(f.recipients, Recipient{Name: r.Recipient, Encrypted: r.Enc})
	}
	if len(f.recipients) == 0 {
		return nil, wrong("add one with sops rotate --in-place --add-age RECIPIENT "+name, "it is not encrypted for any age recipient")
	}
	return f, nil
}

func (f *File) flatten(names []string, listed bool, t *tree) {
	switch {
	case t.fields != nil:
		for _, field := range t.fields {
			f.flatten(append(slices.Clone(names), field.name), listed, field.value)
		}
	case t.items != nil:
		for _, item := range t.items {
			f.flatten(names, true, item)
		}
	default:
		f.leaves = append(f.leaves, leaf{names, listed, t.value})
	}
}

// Recipients are those that the file is encrypted for.
func (f *File) Recipients() []Recipient { return f.recipients }

// Keys are the dotted names of the single values, in the order of the file.
func (f *File) Keys() []string {
	var keys []string
	for _, l := range f.leaves {
		if !l.listed {
			keys = append(keys, l.key())
		}
	}
	return keys
}

// Check reports why the value with this dotted name cannot be a secret: it is not there, or in the clear.
func (f *File) Check(key string) error {
	_, err := f.find(key)
	return err
}

func (f *File) find(key string) (int, error) {
	at, inside, listed := -1, "", false
	for i, l := range f.leaves {
		switch name := l.key(); {
		case l.listed && name == key:
			listed = true
		case !l.listed && inside == "" && strings.HasPrefix(name, key+"."):
			inside = name
		case l.listed || name != key:
		case at >= 0:
			return 0, wrong("rename one of them", "it holds two values that are %q", key)
		default:
			at = i
		}
	}
	switch {
	case at >= 0:
	case listed:
		return 0, wrong("give it a name of its own", "%q is in a list there, where no key can name it", key)
	case inside != "":
		return 0, wrong("name one of the values in it, such as "+inside, "%q is a map there, not a single value", key)
	default:
		return 0, wrong(near.Hint(key, f.Keys(), "add it with sops edit "+f.name), "it holds no %q", key)
	}
	switch _, sealed := f.leaves[at].sealed(); {
	case f.leaves[at].value == nil, f.leaves[at].value == "":
		return 0, wrong("set it with sops edit "+f.name, "%q is empty there", key)
	case !sealed:
		return 0, wrong("see the rules that leave values in the clear in .sops.yaml, encrypt the file anew, and make a new secret: this one was committed", "the value of %q is not encrypted", key)
	}
	return at, nil
}
