package spec

import "testing"

func TestWhoIsListed(t *testing.T) {
	for _, tt := range []struct {
		listed []string
		who    string
		want   bool
	}{
		{nil, "Eve <eve@example.com>", true},
		{[]string{"ada@example.com"}, "Ada <ada@example.com>", true},
		{[]string{"Ada@Example.com"}, "Ada <ada@example.COM>", true},
		{[]string{"*@example.com"}, "Ada <ada@example.com>", true},
		{[]string{"ada@example.com"}, "Ada <eve@example.com>", false},
		{[]string{"*@example.com"}, "Eve <eve@sub.example.com>", false},
		{[]string{"*@example.com"}, "Eve <@example.com>", false},
		{[]string{"*@example.com"}, "Eve <eve@evil.example@example.com>", false},
		{[]string{"ada@example.com"}, "Ada <ada@example.com> <eve@example.com>", false},
		{[]string{"ada@example.com"}, "ada@example.com", false},
		{[]string{"ada@example.com"}, "Ada <<ada@example.com>", false},
		{[]string{"ada@example.com"}, "", false},
	} {
		if got := IsListed(tt.listed, tt.who); got != tt.want {
			t.Errorf("IsListed(%q, %q) is %t", tt.listed, tt.who, got)
		}
	}
}
