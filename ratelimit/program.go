package ratelimit

import (
	"slices"

	"github.com/tinylib/msgp/msgp"
)

// program is what take.lua is asked, as it is told: each key and each definition
// once, however many requests have them.
type program struct {
	// strings are the keys of what is kept as strings, and others those of the rest.
	// They are numbered in this order, from 1 on.
	strings, others keyNumbers
	definitions     []Definition
	words           []int64 // of a definition, while it is written
}

// keyNumbers are keys by their places.
type keyNumbers struct {
	keys []string
	at   map[string]int // nil where they are so few that looking at all is as quick
}

// few is up to how many keys and definitions are looked for one by one.
const few = 12

// number is the place of a key, which it has from now on.
func (k *keyNumbers) number(key string) int {
	if k.at == nil {
		if i := slices.Index(k.keys, key); i >= 0 {
			return i
		}
	} else if i, ok := k.at[key]; ok {
		return i
	}
	i := len(k.keys)
	k.keys = append(k.keys, key)
	switch {
	case k.at != nil:
		k.at[key] = i
	case i == few:
		k.at = make(map[string]int, 8*few)
		for j, key := range k.keys {
			k.at[key] = j
		}
	}
	return i
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
	var p program
	type numbers struct{ key, definition int }
	items := 0
	for _, c := range calls {
		items += len(c.items)
	}
	all := make([]numbers, 0, items)
	for _, c := range calls {
		for _, it := range c.items {
			of := numbers{definition: p.definition(it.Definition)}
			if it.plain() {
				of.key = p.strings.number(it.key) + 1
			} else {
				of.key = -p.others.number(it.key)
			}
			all = append(all, of)
		}
	}
	const perItem, perCall = 16, 4 // bytes: enough for nearly all
	text = p.begin(make([]byte, 0, 32+perCall*len(calls)+perItem*items+64*len(p.definitions)), now, len(calls)+4*items)
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
	defined := make([]byte, 0, 64*len(p.definitions))
	for _, d := range p.definitions {
		p.words = d.words(p.words[:0], now)
		more += 2 + len(p.words)
		defined = msgp.AppendInt(msgp.AppendString(defined, d.kind()), len(p.words))
		for _, w := range p.words {
			defined = msgp.AppendInt64(defined, w)
		}
	}
	text = msgp.AppendArrayHeader(text, uint32(2+more))
	text = msgp.AppendInt(msgp.AppendInt(text, len(p.strings.keys)), len(p.definitions))
	return append(text, defined...)
}

// keys are all keys as Redis has them.
func (p *program) keys() []string {
	keys := make([]string, 0, len(p.strings.keys)+len(p.others.keys))
	for _, some := range [][]string{p.strings.keys, p.others.keys} {
		for _, key := range some {
			keys = append(keys, redisPrefix+key)
		}
	}
	return keys
}
