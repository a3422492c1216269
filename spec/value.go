package spec

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
)

// maxValueDepth bounds how deep values that go into or come out of an expression are nested.
const maxValueDepth = 64

// maxValueItems bounds how many values an expression's value holds.
const maxValueItems = 100_000

// plainValue returns v with the types that CEL knows: nil, bool, int64, float64, string, []any and map[string]any. JSON
// does not tell 3 from 3.0, so every number without a fraction is an int64: `results["x"][0].count + 1` must work
// wherever the count has been.
func plainValue(v any) (any, error) { return plainDepth(v, 0) }

func plainDepth(v any, depth int) (any, error) {
	if depth > maxValueDepth {
		return nil, fmt.Errorf("the value is nested deeper than %d levels", maxValueDepth)
	}
	switch v := v.(type) {
	case nil, bool, string, int64:
		return v, nil
	case int:
		return int64(v), nil
	case float64:
		return plainNumber(v), nil
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n, nil
		}
		f, err := v.Float64()
		if err != nil {
			return nil, fmt.Errorf("the number %.40s does not fit a float64", v)
		}
		return plainNumber(f), nil
	case map[string]any:
		out := make(map[string]any, len(v))
		for key, item := range v {
			plain, err := plainDepth(item, depth+1)
			if err != nil {
				return nil, err
			}
			out[key] = plain
		}
		return out, nil
	case []any:
		out := make([]any, len(v))
		for i, item := range v {
			plain, err := plainDepth(item, depth+1)
			if err != nil {
				return nil, err
			}
			out[i] = plain
		}
		return out, nil
	case []string:
		out := make([]any, len(v))
		for i, item := range v {
			out[i] = item
		}
		return out, nil
	}
	raw, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("the value is not JSON: %w", err)
	}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	var decoded any
	if err := decoder.Decode(&decoded); err != nil {
		return nil, fmt.Errorf("the value is not JSON: %w", err)
	}
	return plainDepth(decoded, depth)
}

func plainNumber(f float64) any {
	if f == math.Trunc(f) && math.Abs(f) < 1<<53 {
		return int64(f)
	}
	return f
}

// jsonTree returns the value of an expression as a JSON tree of nil, bool, int64, float64, string, []any and
// map[string]any.
func jsonTree(value ref.Val) (any, error) {
	left := maxValueItems
	return jsonDepth(value, 0, &left)
}

func jsonDepth(value ref.Val, depth int, left *int) (any, error) {
	if depth > maxValueDepth {
		return nil, fmt.Errorf("the value is nested deeper than %d levels", maxValueDepth)
	}
	if *left--; *left < 0 {
		return nil, fmt.Errorf("the value holds more than %d values", maxValueItems)
	}
	switch v := value.(type) {
	case types.Null:
		return nil, nil
	case types.Bool:
		return bool(v), nil
	case types.Int:
		return int64(v), nil
	case types.Uint:
		if v > math.MaxInt64 {
			return nil, errors.New("the number is too large")
		}
		return int64(v), nil
	case types.Double:
		if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
			return nil, errors.New("the value is not a number that JSON can hold")
		}
		return plainNumber(float64(v)), nil
	case types.String:
		return string(v), nil
	case types.Timestamp, types.Duration:
		return string(v.ConvertToType(types.StringType).(types.String)), nil
	case traits.Mapper:
		out := map[string]any{}
		for it := v.Iterator(); it.HasNext() == types.True; {
			key := it.Next()
			name, ok := key.(types.String)
			if !ok {
				return nil, fmt.Errorf("a key of a map is of type %s, not string", key.Type().TypeName())
			}
			item, err := jsonDepth(v.Get(key), depth+1, left)
			if err != nil {
				return nil, err
			}
			out[string(name)] = item
		}
		return out, nil
	case traits.Lister:
		out := []any{}
		for it := v.Iterator(); it.HasNext() == types.True; {
			item, err := jsonDepth(it.Next(), depth+1, left)
			if err != nil {
				return nil, err
			}
			out = append(out, item)
		}
		return out, nil
	}
	return nil, fmt.Errorf("a value of type %s is not JSON", value.Type().TypeName())
}
