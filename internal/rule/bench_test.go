package rule

import "testing"

const usual = `claims.tier == "gold" && request.method != "DELETE"`

func BenchmarkCompile(b *testing.B) {
	for b.Loop() {
		if _, err := compile(source{text: usual, about: Token}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCompileAgain(b *testing.B) {
	first, err := Compile(usual, Token)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if again, _ := Compile(usual, Token); again != first {
			b.Fatal("compiled again")
		}
	}
}

func BenchmarkHolds(b *testing.B) {
	r, err := Compile(usual, Token)
	if err != nil {
		b.Fatal(err)
	}
	f := facts()
	b.ReportAllocs()
	for b.Loop() {
		if holds, err := r.Holds(f); !holds || err != nil {
			b.Fatal(holds, err)
		}
	}
}
