package plan

import (
	"slices"

	"github.com/mainstay-dev/mainstay/spec"
)

// AddEnvironment adds what is widened in an environment besides, which is what is widened in with, a comparison of the two
// sides in that environment, and not in c. Call it once for each environment, in their order.
func (c *Change) AddEnvironment(env string, with *Change) {
	for _, p := range with.Widened {
		p.Resources = slices.DeleteFunc(slices.Clone(p.Resources), func(ref spec.Ref) bool {
			return slices.ContainsFunc(c.Widened, func(known Permission) bool {
				return len(known.Env) == 0 && known.says(p) && slices.Contains(known.Resources, ref)
			})
		})
		if len(p.Resources) == 0 {
			continue
		}
		i := slices.IndexFunc(c.Widened, func(known Permission) bool {
			return len(known.Env) > 0 && known.says(p) && slices.Equal(known.Resources, p.Resources)
		})
		if i < 0 {
			p.Env = []string{env}
			c.Widened = append(c.Widened, p)
			continue
		}
		c.Widened[i].Env = append(c.Widened[i].Env, env)
	}
	c.Summary.Widened = len(c.Widened)
}

// says reports whether both say the same of whichever resources.
func (p Permission) says(other Permission) bool { return p.Code == other.Code && p.Text == other.Text }
