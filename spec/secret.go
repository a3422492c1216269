package spec

// SecretRef says where a secret is. The host reads it at the last moment; neither the repository nor an agent ever holds
// it, and wherever its value would appear it is redacted. Exactly one field is set.
type SecretRef struct {
	// Env names a variable of Mainstay's own environment.
	Env string `json:"env,omitempty" check:"pattern=variable"`
	// File is the path of a file on the machine that Mainstay runs on, absolute or below the folder it was started in. A
	// newline at its end is no part of the secret. At most 1 MiB.
	File string `json:"file,omitempty"`
	// SOPS is a value in a file of this repository that SOPS (https://getsops.io) has encrypted for an age recipient.
	SOPS *SOPSRef `json:"sops,omitempty"`
	// Kubernetes is a key of a Secret in the cluster that Mainstay runs in, or that its kubeconfig names.
	Kubernetes *KubernetesSecretRef `json:"kubernetes,omitempty"`
}

// SOPSRef is a value in an encrypted file.
type SOPSRef struct {
	// File is the path from the repository's root of a YAML or JSON file that SOPS wrote.
	File string `json:"file"`
	// Key is the path to the value within the file, with dots between the names: `github.token`.
	Key string `json:"key"`
}

// KubernetesSecretRef is a key of a Kubernetes Secret.
type KubernetesSecretRef struct {
	// Namespace is that of the Secret. Default: the namespace that Mainstay runs in.
	Namespace string `json:"namespace,omitempty"`
	// Name is that of the Secret.
	Name string `json:"name"`
	// Key is one of the keys in its data.
	Key string `json:"key"`
}

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
		l.missing(d, n, "", "a secret needs exactly one of env, file, sops and kubernetes")
	}
}
