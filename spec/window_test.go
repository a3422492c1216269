package spec

import (
	"testing"
	"time"

	"github.com/robfig/cron/v3"
	"pgregory.net/rapid"
)

// window is one that begins at the times of a cron expression.
func window(t interface{ Fatal(...any) }, expression, zone string, d time.Duration) Opening {
	schedule, err := cron.ParseStandard(expression)
	if err != nil {
		t.Fatal(err)
	}
	location, err := time.LoadLocation(zone)
	if err != nil {
		t.Fatal(err)
	}
	schedule.(*cron.SpecSchedule).Location = location
	return Opening{Cron: schedule, Duration: d}
}

func TestWhenAWindowIsOpen(t *testing.T) {
	nights := window(t, "0 22 * * 1-5", "Europe/Berlin", 2*time.Hour)
	weekend := window(t, "0 0 * * 6", "Europe/Berlin", 48*time.Hour)
	for _, tt := range []struct {
		name    string
		windows []Opening
		at      string
		open    bool
		opens   string
	}{
		{"without windows it always is", nil, "2026-03-02T12:00:00+01:00", true, ""},
		{"before it begins", []Opening{nights}, "2026-03-02T21:59:59+01:00", false, "2026-03-02T22:00:00+01:00"},
		{"at its beginning", []Opening{nights}, "2026-03-02T22:00:00+01:00", true, ""},
		{"in its last second", []Opening{nights}, "2026-03-02T23:59:59+01:00", true, ""},
		{"at its end it is closed", []Opening{nights}, "2026-03-03T00:00:00+01:00", false, "2026-03-03T22:00:00+01:00"},
		{"after the last one of the week", []Opening{nights}, "2026-03-07T12:00:00+01:00", false, "2026-03-09T22:00:00+01:00"},
		{"the next of several", []Opening{nights, weekend}, "2026-03-07T12:00:00+01:00", true, ""},
		{"in summer the hour is the one of the place", []Opening{nights}, "2026-07-06T20:30:00Z", true, ""},
		{"as in winter", []Opening{nights}, "2026-01-05T20:30:00Z", false, "2026-01-05T22:00:00+01:00"},
		{"over the night in which the clock goes forward", []Opening{weekend}, "2026-03-29T23:30:00+02:00", true, ""},
		{"which lasts its hours and ends later by the clock", []Opening{weekend}, "2026-03-30T00:30:00+02:00", true, ""},
		{"and then ends", []Opening{weekend}, "2026-03-30T01:00:00+02:00", false, "2026-04-04T00:00:00+02:00"},
	} {
		at, err := time.Parse(time.RFC3339, tt.at)
		if err != nil {
			t.Fatal(err)
		}
		open, opens := OpenAt(tt.windows, at)
		want := time.Time{}
		if tt.opens != "" {
			if want, err = time.Parse(time.RFC3339, tt.opens); err != nil {
				t.Fatal(err)
			}
		}
		if open != tt.open || !opens.Equal(want) {
			t.Errorf("%s: it is open: %v, and opens at %v, want %v and %v", tt.name, open, opens, tt.open, want)
		}
	}
}

func TestAClosedWindowOpensWhenItSays(t *testing.T) {
	zones := []string{"UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Pacific/Auckland"}
	rapid.Check(t, func(t *rapid.T) {
		w := window(t, rapid.SampledFrom([]string{"0 22 * * 1-5", "30 2 * * *", "@hourly", "0 0 1 * *", "15 6 * * 0"}).Draw(t, "cron"),
			rapid.SampledFrom(zones).Draw(t, "zone"), time.Duration(rapid.IntRange(1, 600).Draw(t, "minutes"))*time.Minute)
		at := time.Unix(rapid.Int64Range(1_700_000_000, 1_900_000_000).Draw(t, "at"), 0)
		open, opens := OpenAt([]Opening{w}, at)
		if open {
			return
		}
		if !opens.After(at) {
			t.Fatalf("at %v it opens at %v", at, opens)
		}
		if open, _ := OpenAt([]Opening{w}, opens); !open {
			t.Fatalf("at %v it is closed, which is when it was to open", opens)
		}
		if open, _ := OpenAt([]Opening{w}, opens.Add(-time.Second)); open {
			t.Fatalf("it was open before %v", opens)
		}
	})
}
