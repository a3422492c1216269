package secret

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/mainstay-dev/mainstay/spec"
)

// maxAnswer is the largest Secret that is read, in bytes. Kubernetes allows 1 MiB, and writes it in base64.
const maxAnswer = 2 << 20

// Cluster is an API server, and how to reach it.
type Cluster struct {
	// Client authenticates its requests.
	Client *http.Client
	// URL is that of the API server.
	URL *url.URL
	// Namespace is where a Secret is whose reference names none.
	Namespace string
}

// KubernetesConfig finds the API server as kubectl does: by the files in KUBECONFIG, or ~/.kube/config, or else by the
// service account of the pod that this process runs in.
func KubernetesConfig(env func(string) (string, bool)) (*Cluster, error) {
	rules := &clientcmd.ClientConfigLoadingRules{WarnIfAllMissing: false}
	if files, ok := env("KUBECONFIG"); ok && files != "" {
		rules.Precedence = strings.Split(files, string(os.PathListSeparator))
	} else if home, ok := env("HOME"); ok && home != "" {
		rules.Precedence = []string{home + "/.kube/config"}
	}
	loader := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, nil)
	config, err := loader.ClientConfig()
	if err != nil {
		if clientcmd.IsEmptyConfig(err) {
			return nil, errors.New("mainstay knows no cluster: run it in one, or set KUBECONFIG")
		}
		return nil, fmt.Errorf("read the kubeconfig: %w", err)
	}
	namespace, _, err := loader.Namespace()
	if err != nil {
		return nil, fmt.Errorf("read the kubeconfig: %w", err)
	}
	if config.ExecProvider != nil {
		config.ExecProvider.StdinUnavailable = true // Nobody is there to log in.
	}
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, fmt.Errorf("read the kubeconfig: %w", err)
	}
	base, _, err := rest.DefaultServerUrlFor(config)
	if err != nil {
		return nil, fmt.Errorf("read the kubeconfig: %w", err)
	}
	return &Cluster{Client: client, URL: base, Namespace: namespace}, nil
}

// object is a Kubernetes Secret.
type object struct{ namespace, name string }

// fetched is a Secret as it was read, or why it could not be. Whoever holds mu asks for all who wait.
type fetched struct {
	mu   sync.Mutex
	next time.Time
	data map[string][]byte
	err  error
}

func (r *Resolver) kubernetes(ctx context.Context, ref spec.KubernetesSecretRef) (string, error) {
	cluster, err := r.reach()
	if err != nil {
		return "", err
	}
	o := object{ref.Namespace, ref.Name}
	if o.namespace == "" {
		o.namespace = cluster.Namespace
	}
	r.mu.Lock()
	f := r.objects[o]
	if f == nil {
		if len(r.objects) >= maxKept {
			clear(r.objects)
		}
		f = &fetched{}
		r.objects[o] = f
	}
	r.mu.Unlock()

	f.mu.Lock()
	defer f.mu.Unlock()
	if now := r.opts.Now(); !now.Before(f.next) {
		data, err := cluster.get(ctx, o)
		if ctx.Err() != nil {
			return "", ctx.Err() // The caller gave up, which says nothing of the Secret.
		}
		f.data, f.err, f.next = data, err, now.Add(Refresh)
		if err != nil {
			f.next = now.Add(retry)
		}
	}
	if f.err != nil {
		return "", f.err
	}
	value, ok := f.data[ref.Key]
	if !ok {
		keys := make([]string, 0, len(f.data))
		for key := range f.data {
			keys = append(keys, key)
		}
		slices.Sort(keys)
		return "", fmt.Errorf("the Secret %s/%s has no such key; it has %s", o.namespace, o.name, spec.Visible(strings.Join(keys, ", ")))
	}
	return string(value), nil
}

// reach finds the API server once.
func (r *Resolver) reach() (*Cluster, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.cluster != nil {
		return r.cluster, nil
	}
	cluster, err := r.opts.Kubernetes()
	if err != nil {
		return nil, err
	}
	// A redirect would take the token elsewhere.
	client := *cluster.Client
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	cluster.Client = &client
	r.cluster = cluster
	return cluster, nil
}

// get reads one Secret. What the server answers is not told: it may be a part of one.
func (c *Cluster) get(ctx context.Context, o object) (map[string][]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, getTimeout)
	defer cancel()
	u := c.URL.JoinPath("api", "v1", "namespaces", o.namespace, "secrets", o.name)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept", "application/json")
	response, err := c.Client.Do(request)
	if err != nil {
		if failed, ok := errors.AsType[*url.Error](err); ok {
			err = failed.Err
		}
		return nil, fmt.Errorf("the cluster's API server at %s cannot be reached: %w", c.URL.Host, err)
	}
	defer response.Body.Close()
	switch response.StatusCode {
	case http.StatusOK:
	case http.StatusNotFound:
		return nil, fmt.Errorf("there is no Secret %s in the namespace %s: create it, or correct the reference", o.name, o.namespace)
	case http.StatusUnauthorized:
		return nil, errors.New("the cluster does not accept mainstay's credential: renew it in the kubeconfig, or the pod's service account")
	case http.StatusForbidden:
		return nil, fmt.Errorf("mainstay may not read the Secret %s in the namespace %s: grant it the verb get on that one Secret, with a Role", o.name, o.namespace)
	default:
		return nil, fmt.Errorf("the cluster's API server at %s answers %d", c.URL.Host, response.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	if err != nil {
		return nil, fmt.Errorf("the cluster's API server at %s broke off its answer", c.URL.Host)
	}
	if len(body) > maxAnswer {
		return nil, fmt.Errorf("the Secret %s/%s is larger than %d MiB", o.namespace, o.name, maxAnswer>>20)
	}
	var answer struct {
		Kind string            `json:"kind"`
		Data map[string][]byte `json:"data"`
	}
	if err := json.Unmarshal(body, &answer); err != nil || answer.Kind != "Secret" {
		return nil, fmt.Errorf("what the API server at %s answers is not a Secret", c.URL.Host)
	}
	return answer.Data, nil
}
