package engine

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// standIn is an image made of programs of this machine, under the name of one that the
// Dockerfile or docker-compose.yaml has from a registry.
type standIn struct {
	name string
	// programs are those of this machine, by where they are in the image. The libraries
	// that they are linked with come along.
	programs map[string]string
	// trees are folders of this machine, by where they are in the image.
	trees map[string]string
	// files are others, by where they are, with what is in them.
	files map[string]string
	// folders are those that have an owner or a mode.
	folders []folder
	// busybox says that there is a shell, as in images of Alpine.
	busybox bool
	// config are instructions of a Dockerfile: how the image is run.
	config []string
}

type folder struct {
	path     string
	uid, gid int
	mode     int64
}

// load gives the image to the engine.
func (i standIn) load(t *testing.T) {
	t.Helper()
	args := []string{"import"}
	for _, c := range i.config {
		args = append(args, "--change", c)
	}
	cmd := docker(append(args, "-", i.name)...)
	to, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	written := i.write(to)
	if written != nil {
		_ = cmd.Process.Kill() // half an image would be taken for a whole one
	}
	to.Close()
	if err := cmd.Wait(); err != nil || written != nil {
		t.Fatalf("making %s: %v, %v\n%s", i.name, written, err, &out)
	}
}

// applets are what images of Alpine have of BusyBox and what is asked of here.
var applets = []string{"sh", "cat", "chmod", "echo", "env", "grep", "httpd", "id", "ls", "mkdir", "printf", "rm", "sed", "sleep", "test", "touch", "wget"}

// write writes the layer of the image.
func (i standIn) write(to io.Writer) error {
	l := layer{Writer: tar.NewWriter(to), seen: map[string]bool{}}
	// Owners first: a folder that comes along with a file is root's.
	for _, f := range i.folders {
		if err := l.folder(f); err != nil {
			return err
		}
	}
	programs := maps.Clone(i.programs)
	if i.busybox {
		if programs == nil {
			programs = map[string]string{}
		}
		programs["/bin/busybox"] = "busybox"
	}
	for _, at := range slices.Sorted(maps.Keys(programs)) {
		if err := l.program(at, programs[at]); err != nil {
			return err
		}
	}
	for _, at := range slices.Sorted(maps.Keys(i.trees)) {
		if err := l.tree(at, i.trees[at]); err != nil {
			return err
		}
	}
	for _, at := range slices.Sorted(maps.Keys(i.files)) {
		if err := l.file(at, strings.NewReader(i.files[at]), int64(len(i.files[at])), 0o755); err != nil {
			return err
		}
	}
	if i.busybox {
		for _, name := range applets {
			if err := l.link("/bin/"+name, "busybox"); err != nil {
				return err
			}
		}
	}
	return l.Close()
}

// layer is a layer of an image, in which each path stands once.
type layer struct {
	*tar.Writer
	seen map[string]bool
}

func (l layer) add(h *tar.Header, content io.Reader) error {
	if l.seen[h.Name] {
		return nil
	}
	l.seen[h.Name] = true
	if parent := path.Dir(h.Name); parent != "/" && parent != "." {
		if err := l.folder(folder{path: parent, mode: 0o755}); err != nil {
			return err
		}
	}
	if err := l.WriteHeader(h); err != nil {
		return err
	}
	if content == nil {
		return nil
	}
	_, err := io.Copy(l, content)
	return err
}

func (l layer) folder(f folder) error {
	return l.add(&tar.Header{Typeflag: tar.TypeDir, Name: f.path, Uid: f.uid, Gid: f.gid, Mode: f.mode}, nil)
}

func (l layer) file(at string, content io.Reader, size, mode int64) error {
	return l.add(&tar.Header{Typeflag: tar.TypeReg, Name: at, Size: size, Mode: mode}, content)
}

func (l layer) link(at, to string) error {
	return l.add(&tar.Header{Typeflag: tar.TypeSymlink, Name: at, Linkname: to, Mode: 0o777}, nil)
}

// copied copies what is at a path of this machine, behind all links.
func (l layer) copied(at, from string) error {
	f, err := os.Open(from)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	return l.file(at, f, info.Size(), int64(info.Mode().Perm()))
}

// tree copies a folder. What is no file, folder or link is left out.
func (l layer) tree(at, from string) error {
	return filepath.WalkDir(from, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		to := at + strings.TrimPrefix(p, from)
		switch {
		case d.IsDir():
			return l.folder(folder{path: to, mode: 0o755})
		case d.Type().IsRegular():
			return l.copied(to, p)
		case d.Type() == fs.ModeSymlink:
			target, err := os.Readlink(p)
			if err != nil {
				return err
			}
			return l.link(to, target)
		}
		return nil
	})
}

// library is a line of ldd about a file: `libm.so.6 => /lib/libm.so.6 (0x…)`, or the
// dynamic linker's, which has a path alone.
var library = regexp.MustCompile(`(?m)^\s+(?:\S+ => )?(/\S+) \(0x`)

// program copies a program and its libraries.
func (l layer) program(at, name string) error {
	from := name
	if !strings.Contains(name, "/") {
		var err error
		if from, err = exec.LookPath(name); err != nil {
			return err
		}
	}
	if err := l.copied(at, from); err != nil {
		return err
	}
	out, err := exec.Command("ldd", from).CombinedOutput()
	if err != nil && !bytes.Contains(out, []byte("not a dynamic executable")) {
		return fmt.Errorf("ldd %s: %w: %s", from, err, out)
	}
	for _, found := range library.FindAllSubmatch(out, -1) {
		if err := l.copied(string(found[1]), string(found[1])); err != nil {
			return err
		}
	}
	return nil
}
