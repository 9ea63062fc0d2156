package ratelimit

import (
	"slices"
	"strings"
	"sync"

	"github.com/tinylib/msgp/msgp"
)

// program is what take.lua is asked, as it is told: each key and each definition
// once, however many requests have them. The zero value is empty.
type program struct {
	// strings are the keys of what is kept as strings, and others those of the rest.
	// They are numbered in this order, from 1 on.
	strings, others keyNumbers
	definitions     []Definition

	// Memory while it is written.
	words   []int64       // of a definition
	defined []byte        // all definitions
	numbers []itemNumbers // of all items
}

// itemNumbers are what a program calls the key and the definition of an item: a key of
// others, of which it is not known yet how many stand before them, by 0 and less.
type itemNumbers struct{ key, definition int }

// programs are memory for those that are written.
var programs = sync.Pool{New: func() any { return new(program) }}

// clear leaves but memory for the next.
func (p *program) clear() {
	p.strings.clear()
	p.others.clear()
	clear(p.definitions)
	p.definitions = p.definitions[:0]
}

// keyNumbers are keys by their places.
type keyNumbers struct {
	keys []string
	at   map[string]int // where they are more than a few: else to look at all is as quick
}

func (k *keyNumbers) clear() {
	clear(k.keys)
	clear(k.at)
	k.keys = k.keys[:0]
}

// few is up to how many keys and definitions are looked for one by one.
const few = 12

// number is the place of a key, which it has from now on.
func (k *keyNumbers) number(key string) int {
	n := len(k.keys)
	if n <= few {
		if i := slices.Index(k.keys, key); i >= 0 {
			return i
		}
	} else if i, ok := k.at[key]; ok {
		return i
	}
	k.keys = append(k.keys, key)
	switch {
	case n > few:
		k.at[key] = n
	case n == few:
		if k.at == nil {
			k.at = make(map[string]int, 8*few)
		}
		for i, key := range k.keys {
			k.at[key] = i
		}
	}
	return n
}

// definition is the number of a definition, from 1 on. Of very many the same one may
// have several, which only costs some time.
func (p *program) definition(d Definition) int {
	for i := len(p.definitions) - 1; i >= max(len(p.definitions)-few, 0); i-- {
		if p.definitions[i] == d {
			return i + 1
		}
	}
	p.definitions = append(p.definitions, d)
	return len(p.definitions)
}

// encode is the keys and the program of calls, at about the time now.
func encode(now int64, calls []call) (keys []string, text []byte) {
	p := programs.Get().(*program)
	defer programs.Put(p)
	defer p.clear()
	all := p.numbers[:0]
	for _, c := range calls {
		for _, it := range c.items {
			of := itemNumbers{definition: p.definition(it.Definition)}
			if it.plain() {
				of.key = p.strings.number(it.key) + 1
			} else {
				of.key = -p.others.number(it.key)
			}
			all = append(all, of)
		}
	}
	p.numbers = all
	const perItem, perCall = 16, 4 // bytes: enough for nearly all
	text = p.begin(make([]byte, 0, 32+perCall*len(calls)+perItem*len(all)+64*len(p.definitions)), now, len(calls)+4*len(all))
	for _, c := range calls {
		text = msgp.AppendInt(text, 3*len(c.items)+int(c.op))
		for i, it := range c.items {
			of := all[i]
			if of.key <= 0 {
				of.key = len(p.strings.keys) + 1 - of.key
			}
			text = msgp.AppendInt(msgp.AppendInt(text, of.key), of.definition)
			text = msgp.AppendInt64(msgp.AppendInt64(text, max(it.Cost, 0)), it.extra(it.Demand))
		}
		all = all[len(c.items):]
	}
	return p.keys(), text
}

// begin writes what stands before the requests, which are so many more words.
func (p *program) begin(text []byte, now int64, more int) []byte {
	defined := p.defined[:0]
	for _, d := range p.definitions {
		p.words = d.words(p.words[:0], now)
		more += 2 + len(p.words)
		defined = msgp.AppendInt(msgp.AppendString(defined, d.kind()), len(p.words))
		for _, w := range p.words {
			defined = msgp.AppendInt64(defined, w)
		}
	}
	p.defined = defined
	text = msgp.AppendArrayHeader(text, uint32(2+more))
	text = msgp.AppendInt(msgp.AppendInt(text, len(p.strings.keys)), len(p.definitions))
	return append(text, defined...)
}

// keys are all keys as Redis has them: parts of one text.
func (p *program) keys() []string {
	all := [...][]string{p.strings.keys, p.others.keys}
	n, size := 0, 0
	for _, some := range all {
		for _, key := range some {
			n, size = n+1, size+len(redisPrefix)+len(key)
		}
	}
	var text strings.Builder
	text.Grow(size)
	keys := make([]string, 0, n)
	for _, some := range all {
		for _, key := range some {
			begin := text.Len()
			text.WriteString(redisPrefix)
			text.WriteString(key)
			keys = append(keys, text.String()[begin:])
		}
	}
	return keys
}
