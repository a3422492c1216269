// Package canonical writes JSON in one form, so that formatting never changes a digest. It is all that package spec and
// the runtimes' SDK share, and it needs nothing but the standard library.
package canonical

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// JSON returns v in the one form that digests are over and that a run's record keeps: no spaces, keys sorted by their
// bytes and each there once (the last one wins), strings as UTF-8 with no needless escapes, integers with all their
// digits, and every other number as the shortest text that reads back as the same float64, without a fraction where it
// has none. v is anything encoding/json takes, a json.RawMessage too. Numbers beyond float64 are an error.
func JSON(v any) (json.RawMessage, error) {
	raw, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encode canonical JSON: %w", err)
	}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		return nil, fmt.Errorf("encode canonical JSON: %w", err)
	}
	if value, err = canonicalNumbers(value); err != nil {
		return nil, fmt.Errorf("encode canonical JSON: %w", err)
	}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return nil, fmt.Errorf("encode canonical JSON: %w", err)
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n")), nil
}

// canonicalNumbers rewrites the numbers in a decoded value. It works in place where it can.
func canonicalNumbers(value any) (any, error) {
	var err error
	switch v := value.(type) {
	case map[string]any:
		for key, item := range v {
			if v[key], err = canonicalNumbers(item); err != nil {
				return nil, err
			}
		}
	case []any:
		for i, item := range v {
			if v[i], err = canonicalNumbers(item); err != nil {
				return nil, err
			}
		}
	case json.Number:
		return canonicalNumber(v)
	}
	return value, nil
}

func canonicalNumber(n json.Number) (json.Number, error) {
	if !strings.ContainsAny(string(n), ".eE") {
		if n == "-0" {
			return "0", nil
		}
		return n, nil
	}
	f, err := strconv.ParseFloat(string(n), 64)
	if err != nil {
		return "", fmt.Errorf("the number %.40s does not fit a float64", n)
	}
	if f == math.Trunc(f) && math.Abs(f) < 1<<53 {
		return json.Number(strconv.FormatInt(int64(f), 10)), nil
	}
	text, err := json.Marshal(f)
	return json.Number(text), err
}
