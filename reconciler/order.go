package reconciler

import (
	"fmt"

	fluxmeta "github.com/fluxcd/pkg/apis/meta"
	"github.com/fluxcd/pkg/runtime/dependency"

	"github.com/mainstay-dev/mainstay/spec"
)

// dependent shows a resource to flux's dependency package. The kind is the namespace, since names are unique by kind.
type dependent struct{ spec.Resource }

func (d dependent) GetName() string      { return d.Name }
func (d dependent) GetNamespace() string { return string(d.Kind) }
func (d dependent) GetDependsOn() []fluxmeta.DependencyReference {
	refs := make([]fluxmeta.DependencyReference, len(d.DependsOn))
	for i, ref := range d.DependsOn {
		refs[i] = fluxmeta.DependencyReference{Name: ref.Name, Namespace: string(ref.Kind)}
	}
	return refs
}

// inOrder returns resources so that each comes after all that it depends on. Loading has checked already that every
// dependency exists, which flux's Sort does not.
func inOrder(resources []spec.Resource) ([]spec.Resource, error) {
	byRef := make(map[spec.Ref]spec.Resource, len(resources))
	dependents := make([]dependency.Dependent, len(resources))
	for i, res := range resources {
		byRef[res.Ref] = res
		dependents[i] = dependent{res}
	}
	sorted, err := dependency.Sort(dependents)
	if err != nil {
		return nil, fmt.Errorf("order resources: %w", err)
	}
	list := make([]spec.Resource, 0, len(sorted))
	for _, ref := range sorted {
		if res, ok := byRef[spec.Ref{Kind: spec.Kind(ref.Namespace), Name: ref.Name}]; ok {
			list = append(list, res)
		}
	}
	return list, nil
}
