package config

import (
	"bytes"
	"io"
	"regexp"
	"strconv"
	"strings"
)

// syntaxFault is a YAML syntax error at the line a reader looks for.
//
// The parser numbers its lines unevenly: what the scanner finds is numbered
// from 1, what the parser proper finds is numbered from 0 and points at the
// beginning of the list or mapping around it, and on the first line there is
// no number at all. TestSyntaxFaultLine holds what is made of that here.
func syntaxFault(file string, data []byte, err error) Fault {
	line, problem := 1, strings.TrimPrefix(err.Error(), "yaml: ")
	if m := numberedProblem.FindStringSubmatch(problem); m != nil {
		line, _ = strconv.Atoi(m[1]) // its digits are bounded by the size of the file
		problem = m[2]
	}
	switch {
	case strings.HasPrefix(problem, "did not find expected ','"):
		// The bracket that is not closed, wherever that came to light.
		line++
		problem = "what opens here is not closed, or lacks a comma: " + problem
	case strings.HasPrefix(problem, "did not find expected"),
		strings.HasPrefix(problem, "unknown anchor"),
		strings.HasPrefix(problem, "found undefined tag"),
		strings.HasPrefix(problem, "found duplicate %"),
		strings.HasPrefix(problem, "found incompatible"):
		line = lastLineRead(data, err)
	}
	return Fault{File: file, Line: min(line, lineCount(data)), Rule: "YAML syntax: " + shownProblem(problem)}
}

var numberedProblem = regexp.MustCompile(`(?s)^line (\d{1,9}): (.*)$`)

// lastLineRead is the line after which nothing more needs to be read to meet
// the same error: the line that the parser stumbled over.
func lastLineRead(data []byte, failure error) int {
	reader := &lineReader{rest: data}
	_, _, _ = documents(reader)
	// The parser reads ahead, but little: a few lines are tried at most.
	const ahead = 16
	line := reader.lines
	for tries := 0; tries < ahead && line > 1; tries++ {
		_, _, err := documents(bytes.NewReader(firstLines(data, line-1)))
		if err == nil || err.Error() != failure.Error() {
			break
		}
		line--
	}
	return line
}

// lineReader hands out a line at a time, and counts them.
type lineReader struct {
	rest  []byte
	lines int
	// within tells that the last line has not been handed out whole.
	within bool
}

func (r *lineReader) Read(p []byte) (int, error) {
	if len(r.rest) == 0 {
		return 0, io.EOF
	}
	if !r.within {
		r.lines++
	}
	line := firstLines(r.rest, 1)
	n := copy(p, line)
	r.rest = r.rest[n:]
	r.within = n < len(line)
	return n, nil
}

// firstLines is the beginning of data, up to and with so many line ends.
func firstLines(data []byte, lines int) []byte {
	end := 0
	for ; lines > 0; lines-- {
		next := bytes.IndexByte(data[end:], '\n')
		if next < 0 {
			return data
		}
		end += next + 1
	}
	return data[:end]
}

func lineCount(data []byte) int {
	return max(1, bytes.Count(bytes.TrimSuffix(data, []byte("\n")), []byte("\n"))+1)
}

// shownProblem bounds what the parser says: it may repeat a name from the file.
func shownProblem(problem string) string {
	const most = 160
	if strings.ContainsFunc(problem, func(r rune) bool { return !strconv.IsPrint(r) }) || len(problem) > most {
		return quoted(problem)
	}
	return problem
}
