package spec

import (
	"encoding/json"
	"fmt"
	"time"
)

// Duration is a length of time, written as Go writes it: `30s`, `10m`, `72h`, `1h30m`. Zero means that nothing is set.
type Duration time.Duration

// ParseDuration reads a duration as Go writes it. Negative durations are refused.
func ParseDuration(text string) (Duration, error) {
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, fmt.Errorf("%q is not a duration: write a number and a unit, such as 30s, 10m or 72h", text)
	}
	if d < 0 {
		return 0, fmt.Errorf("%q is negative: a duration counts forward", text)
	}
	return Duration(d), nil
}

// String returns the shortest form that reads back as the same duration: `72h`, not `72h0m0s`. Zero is "0s".
func (d Duration) String() string {
	rest := time.Duration(d)
	switch {
	case rest <= 0 || rest < time.Minute:
		return rest.String()
	case rest%time.Hour == 0:
		return fmt.Sprintf("%dh", rest/time.Hour)
	case rest%time.Minute == 0 && rest < time.Hour:
		return fmt.Sprintf("%dm", rest/time.Minute)
	case rest%time.Minute == 0:
		return fmt.Sprintf("%dh%dm", rest/time.Hour, rest%time.Hour/time.Minute)
	}
	return rest.String()
}

// MarshalJSON writes the duration as a string, and zero as "".
func (d Duration) MarshalJSON() ([]byte, error) {
	if d == 0 {
		return []byte(`""`), nil
	}
	return json.Marshal(d.String())
}

// UnmarshalJSON reads a string as [ParseDuration] does; "" and null are zero.
func (d *Duration) UnmarshalJSON(raw []byte) error {
	var text string
	if err := json.Unmarshal(raw, &text); err != nil {
		return fmt.Errorf("a duration is a string such as \"30s\": %w", err)
	}
	if text == "" {
		*d = 0
		return nil
	}
	parsed, err := ParseDuration(text)
	if err != nil {
		return err
	}
	*d = parsed
	return nil
}
