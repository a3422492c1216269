package spec

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Canonical returns v as JSON in one form, so that formatting never changes a digest: no spaces, keys sorted by their
// bytes, strings as UTF-8 with no needless escapes, integers with all their digits, and every other number as the
// shortest text that reads back as the same float64, without a fraction where it has none. v is anything that
// encoding/json takes. Numbers beyond float64 are an error.
func Canonical(v any) ([]byte, error) {
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

// canonicalNumbers rewrites the numbers of a decoded value in place.
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

// canonicalDigest is the digest of v's canonical form. An error means that v holds what JSON cannot say.
func canonicalDigest(v any) (Digest, error) {
	raw, err := Canonical(v)
	if err != nil {
		return "", err
	}
	return DigestBytes(raw), nil
}
