package pdf

import "github.com/ledongthuc/pdf"

// glyph is a character where it is drawn, in points. Y grows upwards.
type glyph struct {
	s                string
	x, y, size, wide float64
}

// matrix is [a b 0; c d 0; e f 1], as in ISO 32000-1, 8.3.4.
type matrix [6]float64

func (m matrix) times(n matrix) matrix {
	return matrix{
		m[0]*n[0] + m[1]*n[2], m[0]*n[1] + m[1]*n[3],
		m[2]*n[0] + m[3]*n[2], m[2]*n[1] + m[3]*n[3],
		m[4]*n[0] + m[5]*n[2] + n[4], m[4]*n[1] + m[5]*n[3] + n[5],
	}
}

// state is what text is drawn with.
type state struct {
	page                       matrix
	font                       pdf.Font
	decode                     pdf.TextEncoding
	size, char, word, lead, up float64
	scale                      float64
}

// averageWidth is how wide a character is taken to be where its font does not say so, in thousandths of its size.
const averageWidth = 500

// glyphsOf draws a page. What it draws beside text is passed over, and so is an operator with other operands than it has.
func glyphsOf(p pdf.Page) []glyph {
	contents := p.V.Key("Contents")
	if contents.Kind() == pdf.Null {
		return nil
	}
	var all []glyph
	var saved []state
	s := state{page: matrix{1, 0, 0, 1, 0, 0}, scale: 1}
	text, line := s.page, s.page
	move := func(x, y float64) {
		line = matrix{1, 0, 0, 1, x, y}.times(line)
		text = line
	}
	show := func(raw string) {
		if s.decode == nil {
			return
		}
		chars := []rune(s.decode.Decode(raw))
		for i, r := range chars {
			wide := 0.
			if len(chars) == len(raw) {
				wide = s.font.Width(int(raw[i]))
			}
			if wide <= 0 {
				wide = averageWidth
			}
			at := matrix{s.size * s.scale, 0, 0, s.size, 0, s.up}.times(text).times(s.page)
			all = append(all, glyph{string(r), at[4], at[5], max(abs(at[0]), abs(at[3])), wide / 1000 * at[0]})
			step := wide/1000*s.size + s.char
			if r == ' ' {
				step += s.word
			}
			text = matrix{1, 0, 0, 1, step * s.scale, 0}.times(text)
		}
	}
	pdf.Interpret(contents, func(stack *pdf.Stack, op string) {
		args := make([]pdf.Value, stack.Len())
		for i := len(args) - 1; i >= 0; i-- {
			args[i] = stack.Pop()
		}
		if n, known := operands[op]; !known || len(args) != n {
			return
		}
		number := func(i int) float64 { return args[i].Float64() }
		six := func() (m matrix) {
			for i := range m {
				m[i] = number(i)
			}
			return m
		}
		switch op {
		case "q":
			saved = append(saved, s)
		case "Q":
			if n := len(saved); n > 0 {
				s, saved = saved[n-1], saved[:n-1]
			}
		case "cm":
			s.page = six().times(s.page)
		case "BT":
			line = matrix{1, 0, 0, 1, 0, 0}
			text = line
		case "Tm":
			line = six()
			text = line
		case "Td":
			move(number(0), number(1))
		case "TD":
			s.lead = -number(1)
			move(number(0), number(1))
		case "T*":
			move(0, -s.lead)
		case "Tf":
			s.font = p.Font(args[0].Name())
			s.decode, s.size = s.font.Encoder(), number(1)
		case "Tc":
			s.char = number(0)
		case "Tw":
			s.word = number(0)
		case "TL":
			s.lead = number(0)
		case "Ts":
			s.up = number(0)
		case "Tz":
			s.scale = number(0) / 100
		case "Tj":
			show(args[0].RawString())
		case "'":
			move(0, -s.lead)
			show(args[0].RawString())
		case "\"":
			s.word, s.char = number(0), number(1)
			move(0, -s.lead)
			show(args[2].RawString())
		case "TJ":
			for i := range args[0].Len() {
				if v := args[0].Index(i); v.Kind() == pdf.String {
					show(v.RawString())
				} else {
					text = matrix{1, 0, 0, 1, -v.Float64() / 1000 * s.size * s.scale, 0}.times(text)
				}
			}
		}
	})
	return all
}

// operands are how many operands operators have.
var operands = map[string]int{"q": 0, "Q": 0, "cm": 6, "BT": 0, "Tm": 6, "Td": 2, "TD": 2, "T*": 0, "Tf": 2, "Tc": 1, "Tw": 1, "TL": 1, "Ts": 1, "Tz": 1,
	"Tj": 1, "'": 1, "\"": 3, "TJ": 1}

func abs(x float64) float64 { return max(x, -x) }
