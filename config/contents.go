package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// Content is a file whose content is a part of the config: as a gateway is
// served, so is what was in the file when it was last good.
type Content struct {
	// Path is where it was read, and Data what is served of it.
	Path string
	Data []byte
	// Fault is why what is in the file now is not; nil where it is.
	Fault error
}

// Beside is what a config is read beside, while a gateway is served. The zero
// value is nothing.
type Beside struct {
	// Served tells of the path of a file of certificates that what was read from
	// it is in use and stays so: such a file may be bad by now, or gone, without
	// that all else of the config had to wait until it is good again. Nil is of
	// none.
	Served func(path string) bool
	// Kept is what a file held whose content is a part of the config when that was
	// last good, for the same reason; nil where it never was.
	Kept func(path string) []byte
	// Read reads such a file, of which not more than most bytes are wanted. Nil
	// reads it from disk.
	Read func(path string, most int) ([]byte, error)
}

func (b Beside) served(path string) bool { return b.Served != nil && b.Served(path) }

// ReadContent reads a file whose content is a part of a config. The error is the
// rule that the file breaks.
func ReadContent(path string, most int) ([]byte, error) {
	f, err := os.Open(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, errors.New("must be a file that is there: " + shown(path) + " is not")
	case err != nil:
		return nil, errors.New("must be a file that can be read: " + shown(path) + " cannot")
	}
	defer f.Close() // only read from
	// Of a pipe or a device it is not known how much there is, or when.
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, errors.New("must be a file, not a directory or a device")
	}
	data, err := io.ReadAll(io.LimitReader(f, int64(most)+1))
	switch {
	case err != nil:
		return nil, errors.New("must be a file that can be read: " + shown(path) + " cannot")
	case len(data) > most:
		return nil, fmt.Errorf("must have at most %d bytes", most)
	}
	return data, nil
}

// content is what is in a file, or what was in it when it was last good: judge
// says whether it is. It reports nothing. Each file is read once for a config, and
// what is served of it is noted there.
func (c *checker) content(path string, most int, judge func([]byte) error) ([]byte, error) {
	read := ReadContent
	if c.beside.Read != nil {
		read = c.beside.Read
	}
	now, known := c.contents[path]
	if !known {
		now.data, now.err = read(path, most)
		c.contents[path] = now
	}
	fault := now.err
	if fault == nil {
		if fault = judge(now.data); fault == nil {
			c.note(Content{Path: path, Data: now.data})
			return now.data, nil
		}
	}
	if c.beside.Kept == nil {
		return nil, fault
	}
	kept := c.beside.Kept(path)
	if kept == nil || judge(kept) != nil {
		return nil, fault
	}
	c.note(Content{Path: path, Data: kept, Fault: fault})
	return kept, nil
}

// readContent is a file as it was read for this config.
type readContent struct {
	data []byte
	err  error
}

// note remembers what is served of a file. Where one place of the config has to do
// with what was there before, so has the file: it cannot be two things at once in
// the state folder.
func (c *checker) note(content Content) {
	for i := range c.cfg.Contents {
		if known := &c.cfg.Contents[i]; known.Path == content.Path {
			if content.Fault != nil {
				*known = content
			}
			return
		}
	}
	c.cfg.Contents = append(c.cfg.Contents, content)
}
