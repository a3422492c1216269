package spec

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"strings"

	"github.com/mainstay-dev/mainstay/spec/sops"
)

// SecretRef says where a secret is. The host reads it at the last moment, and again when the source has changed; neither
// the repository nor an agent ever holds it, and wherever its value would appear it is redacted. Exactly one field is set.
type SecretRef struct {
	// Env names a variable of Mainstay's own environment. It is what it was when Mainstay started.
	Env string `json:"env,omitempty" check:"pattern=variable"`
	// File is the path of a file on the machine that Mainstay runs on, absolute or below the folder it was started in. A
	// newline at its end is no part of the secret. At most 1 MiB. It is looked at for each call.
	File string `json:"file,omitempty" check:"max=4096"`
	// SOPS is a value in a file of this repository that SOPS (https://getsops.io) has encrypted for an age recipient. It is
	// read from the newest good revision, whatever revision a run is pinned to.
	SOPS *SOPSRef `json:"sops,omitempty"`
	// Kubernetes is a key of a Secret in the cluster that Mainstay runs in, or that its kubeconfig names. It is looked at
	// every 30 seconds while it is used.
	Kubernetes *KubernetesSecretRef `json:"kubernetes,omitempty"`
}

// SOPSRef is a value in an encrypted file.
type SOPSRef struct {
	// File is the path of a YAML or JSON file that SOPS wrote, in the folder secrets/ beside mainstay.yaml, such as
	// secrets/forge.yaml. At most 1 MiB.
	File string `json:"file" check:"required,max=1024" hint:"write file: secrets/NAME.yaml"`
	// Key is the path to the value within the file, with dots between the names: `github.token`.
	Key string `json:"key" check:"required,max=1024" hint:"write the path to the value, such as key: github.token"`
}

// KubernetesSecretRef is a key of a Kubernetes Secret.
type KubernetesSecretRef struct {
	// Namespace is that of the Secret. Default: the namespace that Mainstay runs in, or that its kubeconfig names.
	Namespace string `json:"namespace,omitempty" check:"pattern=name"`
	// Name is that of the Secret.
	Name string `json:"name" check:"required,pattern=subdomain" hint:"write name: NAME, as kubectl get secrets lists it"`
	// Key is one of the keys in its data.
	Key string `json:"key" check:"required,pattern=datakey" hint:"write one of the keys in its data, such as key: token"`
}

// String names the secret, which is no secret itself.
func (s SecretRef) String() string {
	switch {
	case s.Env != "":
		return "the variable " + s.Env
	case s.File != "":
		return "the file " + s.File
	case s.SOPS != nil:
		return fmt.Sprintf("%s in %s", s.SOPS.Key, s.SOPS.File)
	case s.Kubernetes != nil:
		name := s.Kubernetes.Name
		if s.Kubernetes.Namespace != "" {
			name = s.Kubernetes.Namespace + "/" + name
		}
		return fmt.Sprintf("%s in the Kubernetes Secret %s", s.Kubernetes.Key, name)
	}
	return "no secret"
}

// secretsFolder is where the encrypted files of a repository are. Nothing in it is a resource, and no proposal touches it.
const secretsFolder = "secrets"

// drive begins an absolute path on Windows.
var drive = regexp.MustCompile(`^[A-Za-z]:[\\/]`)

// secret checks a reference to a secret. n is where it stands, or should.
func (l *loader) secret(d *document, n *node, s *SecretRef) {
	if s == nil {
		return
	}
	set := 0
	for _, is := range []bool{s.Env != "", s.File != "", s.SOPS != nil, s.Kubernetes != nil} {
		if is {
			set++
		}
	}
	if set != 1 {
		hint := "write one of them, such as env: NAME"
		if set > 1 {
			hint = "keep one of them"
		}
		l.missing(d, n, hint, "a secret needs exactly one of env, file, sops and kubernetes")
	}
	l.machineFile(n.at("file"), s.File)
	if s.SOPS != nil && !l.alone {
		l.sops(n.at("sops"), *s.SOPS)
	}
}

// machineFile checks the path of a file on the machine that Mainstay runs on.
func (l *loader) machineFile(n *node, name string) {
	absolute := strings.HasPrefix(name, "/") && path.Clean(name) == name && name != "/" || drive.MatchString(name)
	switch {
	case name == "" || absolute && !strings.ContainsRune(name, 0):
	case strings.HasPrefix(name, "~"):
		l.error(n, "write out what ~ stands for: another one may start Mainstay", "%q is not the path of a file", shorten(name, 80))
	case !fs.ValidPath(name) || name == "." || strings.ContainsRune(name, 0):
		l.error(n, "write an absolute path, or one below the folder that Mainstay is started in, without . and ..", "%q is not the path of a file", shorten(name, 80))
	}
}

// sops checks that a value is there and encrypted, which needs no key.
func (l *loader) sops(n *node, s SOPSRef) {
	if s.File == "" || s.Key == "" {
		return
	}
	at := n.at("file")
	if !fs.ValidPath(s.File) || !strings.HasPrefix(s.File, secretsFolder+"/") {
		l.error(at, "put it into that folder, beside mainstay.yaml, and write file: secrets/NAME.yaml", "%q is not a file in secrets/", shorten(s.File, 80))
		return
	}
	read := l.encrypted(s.File)
	err := read.err
	if err == nil {
		at = n.at("key")
		err = read.file.Check(s.Key)
	}
	if bad, ok := errors.AsType[*sops.Error](err); ok {
		l.error(at, bad.Hint, "%s: %s", s.File, bad.Summary)
	}
}

// encrypted is a file in secrets/, or what is wrong with it: an [*sops.Error].
type encrypted struct {
	digest Digest
	file   *sops.File
	err    error
}

// encrypted reads a file once.
func (l *loader) encrypted(name string) *encrypted {
	if e := l.sealed[name]; e != nil {
		return e
	}
	e := &encrypted{}
	if l.sealed == nil {
		l.sealed = map[string]*encrypted{}
	}
	l.sealed[name] = e
	content, bad := l.named(name, sops.MaxFile, "write it with sops edit "+name+", and commit it")
	if bad != nil {
		e.err = &sops.Error{Summary: bad.summary, Hint: bad.hint}
		return e
	}
	e.digest = DigestBytes(content)
	e.file, e.err = sops.Parse(name, content)
	return e
}

// sealedAs is the same as long as the encrypted files behind references are.
func (l *loader) sealedAs(refs ...*SecretRef) string {
	var all strings.Builder
	for _, s := range refs {
		if s != nil && s.SOPS != nil && fs.ValidPath(s.SOPS.File) {
			fmt.Fprintf(&all, "%s ", l.encrypted(s.SOPS.File).digest)
		}
	}
	return all.String()
}

// secretsOf are the secrets that headers refer to.
func secretsOf(headers []Header) []*SecretRef {
	var refs []*SecretRef
	for _, h := range headers {
		refs = append(refs, h.From)
	}
	return refs
}
