package gateway

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/mainstay-dev/mainstay/spec"
)

// TestDefaultsAreThoseOfTheSpec checks that what people read about a field that is left out is what happens.
func TestDefaultsAreThoseOfTheSpec(t *testing.T) {
	for _, test := range []struct {
		of    any
		field string
		is    any
	}{
		{spec.Retry{}, "Attempts", attempts}, {spec.Retry{}, "Backoff", spec.Duration(backoff)}, {spec.Retry{}, "MaxBackoff", spec.Duration(maxBackoff)},
		{spec.Breaker{}, "Failures", failures}, {spec.Breaker{}, "Cooldown", spec.Duration(cooldown)}, {spec.Hedge{}, "Most", most},
	} {
		f, _ := reflect.TypeOf(test.of).FieldByName(test.field)
		if want := "default=" + fmt.Sprint(test.is); !strings.HasPrefix(f.Tag.Get("check"), want+",") {
			t.Errorf("%T.%s says %s and not %s", test.of, test.field, f.Tag.Get("check"), want)
		}
	}
}
