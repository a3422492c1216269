package reconciler

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/mainstay-dev/mainstay/spec"
)

// mayBeShown says what is wrong with images for an agent: they are too many or too large, or none of the models that may answer sees them.
func (r *Reconciler) mayBeShown(ctx context.Context, name spec.AgentName, images []spec.Image) error {
	if len(images) == 0 {
		return nil
	}
	if err := spec.CheckImages(images); err != nil {
		return err
	}
	fleet := r.current()
	m := fleet.Agents[name].Model
	if m == nil {
		return nil // The run says what is missing.
	}
	for _, one := range append([]*spec.Model{m}, m.Others...) {
		if r.parts.Models.Sees(ctx, one) {
			return nil
		}
	}
	hint := "no Model of the fleet can; one of a server that does not say so is told by spec.vision: true"
	var seeing []string
	for _, other := range slices.Sorted(maps.Keys(fleet.Models)) {
		if r.parts.Models.Sees(ctx, fleet.Models[other]) {
			seeing = append(seeing, other)
		}
	}
	if len(seeing) > 0 {
		hint = "these can: " + strings.Join(seeing, ", ")
	}
	return fmt.Errorf("agent %s cannot be shown images, because its Model/%s does not see: %s", name, m.Name, hint)
}
