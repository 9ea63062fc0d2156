package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// followed is the file that a path leads to, through links, whether or not it
// exists.
func followed(path string) (string, error) {
	const enough = 40 // as many as Linux follows
	for range enough {
		resolved, err := filepath.EvalSymlinks(path)
		if !errors.Is(err, fs.ErrNotExist) {
			return resolved, err
		}
		folder, err := filepath.EvalSymlinks(filepath.Dir(path))
		if err != nil {
			return path, nil // its folder is not there either
		}
		path = filepath.Join(folder, filepath.Base(path))
		link, err := os.Readlink(path)
		if err != nil {
			return path, nil // not a link: the file that is not there
		}
		if !filepath.IsAbs(link) {
			link = filepath.Join(folder, link)
		}
		path = link
	}
	return "", fmt.Errorf("%s: more than %d links", path, enough)
}

// replacement puts a new file in the place of target: whoever opens it finds
// all of the old content or all of the new, even after a power failure.
// Permissions are kept, and the owner where this process may.
type replacement struct{ target string }

// ready is where the new file is until it is in its place: in the same folder,
// so that it can be renamed.
func (r replacement) ready() string {
	return filepath.Join(filepath.Dir(r.target), "."+filepath.Base(r.target)+".gatewright")
}

// prepare makes the new file.
func (r replacement) prepare(data []byte) error {
	// One that is there was left by a writer that died: writers exclude each other.
	if err := r.discard(); err != nil {
		return err
	}
	before, err := os.Stat(r.target)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("writing %s: %w", r.target, err)
	}
	mode := fs.FileMode(0o644)
	if before != nil {
		mode = 0o600 // until its owner and permissions are set
	}
	err = writeNew(r.ready(), data, mode, func(f *os.File) error { return resemble(f, before) })
	if err == nil {
		err = syncFolder(r.target)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("writing %s: %w", r.target, err), r.discard())
	}
	return nil
}

// commit puts the new file into its place.
func (r replacement) commit() error {
	err := os.Rename(r.ready(), r.target)
	switch {
	case errors.Is(err, syscall.EBUSY):
		return fmt.Errorf("writing %s: it is mounted by itself and cannot be replaced, mount its folder instead: %w", r.target, err)
	case err != nil:
		return fmt.Errorf("writing %s: %w", r.target, err)
	}
	// It is in its place, and every reader sees it; an error here would say
	// that it is not.
	_ = syncFolder(r.target)
	return nil
}

// discard removes the new file.
func (r replacement) discard() error {
	if err := os.Remove(r.ready()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("removing a file that was not put into its place: %w", err)
	}
	return nil
}

// resemble gives a file the owner and the permissions of another, or none.
func resemble(f *os.File, before fs.FileInfo) error {
	if before == nil {
		return nil
	}
	if owner, ok := before.Sys().(*syscall.Stat_t); ok {
		// Only root gives files away; the group may be one of ours.
		if f.Chown(int(owner.Uid), int(owner.Gid)) != nil {
			_ = f.Chown(-1, int(owner.Gid))
		}
	}
	return f.Chmod(before.Mode().Perm())
}

// writeFile puts data in the place of a file of our own.
func writeFile(path string, data []byte) error {
	temp := path + ".new"
	if err := os.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	err := writeNew(temp, data, 0o600, func(*os.File) error { return nil })
	if err != nil {
		return err
	}
	if err := os.Rename(temp, path); err != nil {
		return err
	}
	return syncFolder(path)
}

// writeNew makes a file, and returns when it is on the disk.
func writeNew(path string, data []byte, mode fs.FileMode, prepare func(*os.File) error) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = prepare(f)
	}
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// syncFolder makes the names in the folder of a path last.
func syncFolder(path string) error {
	folder, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer folder.Close()                                                     // only synced
	if err := folder.Sync(); err != nil && !errors.Is(err, syscall.EINVAL) { // some file systems cannot
		return fmt.Errorf("syncing %s: %w", folder.Name(), err)
	}
	return nil
}
