//! Nothing outside a preopened directory is within reach.

mod support;

use heapwright_wasi::Perms;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use support::{Guest, ROOT, SYMLINK_FOLLOW, errno, oflags, rights, scratch};

/// A host with a directory to be given to a guest, secrets beside it, and every kind of link which
/// leads out of it.
struct Host {
    _scratch: tempfile::TempDir,
    inside: PathBuf,
    outside: PathBuf,
}

impl Host {
    fn new() -> Host {
        let scratch = scratch();
        let (inside, outside) = (scratch.path().join("inside"), scratch.path().join("outside"));
        fs::create_dir_all(inside.join("dir/deep")).unwrap();
        fs::create_dir_all(outside.join("dir")).unwrap();
        fs::write(inside.join("file"), b"public").unwrap();
        fs::write(outside.join("secret"), b"secret").unwrap();
        symlink("../outside/secret", inside.join("rel-file")).unwrap();
        symlink(outside.join("secret"), inside.join("abs-file")).unwrap();
        symlink("../outside", inside.join("rel-dir")).unwrap();
        symlink(&outside, inside.join("abs-dir")).unwrap();
        symlink("../../../outside", inside.join("dir/deep/up")).unwrap();
        symlink("dir/deep/up", inside.join("chain")).unwrap();
        symlink("/", inside.join("root")).unwrap();
        symlink("/proc/self/root", inside.join("magic")).unwrap();
        symlink("..", inside.join("parent")).unwrap();
        Host { _scratch: scratch, inside, outside }
    }

    fn guest(&self) -> Guest {
        Guest::with_dir(&self.inside, Perms::ReadWrite)
    }

    /// Paths to the secret file outside.
    fn escapes(&self) -> Vec<String> {
        let absolute = |path: &Path| path.to_str().unwrap().to_owned();
        let mut paths: Vec<String> = [
            "../outside/secret",
            "dir/../../outside/secret",
            "dir/deep/../../../outside/secret",
            "./../outside/secret",
            "../inside/../outside/secret",
            "rel-dir/secret",
            "abs-dir/secret",
            "chain/secret",
            "dir/deep/up/secret",
            "parent/outside/secret",
            "dir/../parent/outside/secret",
        ]
        .map(str::to_owned)
        .to_vec();
        let secret = absolute(&self.outside.join("secret"));
        paths.push(secret.clone());
        // The way back in is a way out as well.
        paths.push(absolute(&self.inside.join("file")));
        paths.push(format!("root{secret}"));
        paths.push(format!("magic{secret}"));
        paths
    }

    fn check_untouched(&self) {
        assert_eq!(fs::read(self.outside.join("secret")).unwrap(), b"secret");
        let mut names: Vec<_> = fs::read_dir(&self.outside).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["dir", "secret"]);
        assert_eq!(fs::read_dir(self.outside.join("dir")).unwrap().count(), 0);
    }
}

#[test]
fn no_path_opens_what_is_outside() {
    let host = Host::new();
    let mut guest = host.guest();
    for path in host.escapes() {
        for flags in [0, SYMLINK_FOLLOW] {
            for oflags in [0, oflags::CREAT, oflags::CREAT | oflags::TRUNC, oflags::DIRECTORY] {
                for base in [0, rights::FD_READ, rights::ALL] {
                    let opened = guest.path_open(ROOT, flags, path.as_bytes(), oflags, base, base, 0);
                    assert_eq!(opened, Err(errno::NOTCAPABLE), "{path} {flags} {oflags} {base:#x}");
                }
            }
        }
    }
    host.check_untouched();
}

#[test]
fn no_link_at_the_end_leads_out() {
    let host = Host::new();
    let mut guest = host.guest();
    for link in ["rel-file", "abs-file", "rel-dir", "abs-dir", "chain", "root", "parent", "magic"] {
        for oflags in [0, oflags::CREAT, oflags::TRUNC, oflags::DIRECTORY] {
            let opened = guest.path_open(ROOT, SYMLINK_FOLLOW, link.as_bytes(), oflags, 0, 0, 0);
            assert_eq!(opened, Err(errno::NOTCAPABLE), "{link} {oflags}");
        }
        assert_eq!(guest.path_filestat(ROOT, SYMLINK_FOLLOW, link), Err(errno::NOTCAPABLE));
        let times = guest.set_times(ROOT, SYMLINK_FOLLOW, link, 1, 1, 1 | 4);
        assert_eq!(times, Err(errno::NOTCAPABLE));
        let linked = guest.link(ROOT, SYMLINK_FOLLOW, link, ROOT, "stolen");
        assert_eq!(linked, Err(errno::NOTCAPABLE), "{link}");
    }
    host.check_untouched();
}

#[test]
fn no_function_on_paths_reaches_out() {
    let host = Host::new();
    let mut guest = host.guest();
    let deep = guest.open_dir("dir/deep").unwrap();
    for path in host.escapes() {
        let path = path.as_str();
        for flags in [0, SYMLINK_FOLLOW] {
            assert_eq!(guest.path_filestat(ROOT, flags, path), Err(errno::NOTCAPABLE), "{path}");
            let times = guest.set_times(ROOT, flags, path, 1, 1, 1 | 4);
            assert_eq!(times, Err(errno::NOTCAPABLE), "{path}");
            let link = guest.link(ROOT, flags, path, ROOT, "stolen");
            assert_eq!(link, Err(errno::NOTCAPABLE), "{path}");
        }
        assert_eq!(guest.link(ROOT, 0, "file", ROOT, path), Err(errno::NOTCAPABLE), "{path}");
        assert_eq!(guest.unlink(ROOT, path), Err(errno::NOTCAPABLE), "{path}");
        assert_eq!(guest.readlink(ROOT, path, 100), Err(errno::NOTCAPABLE), "{path}");
        assert_eq!(guest.rename(ROOT, path, ROOT, "stolen"), Err(errno::NOTCAPABLE), "{path}");
        assert_eq!(guest.rename(ROOT, "file", ROOT, path), Err(errno::NOTCAPABLE), "{path}");
        assert_eq!(guest.symlink("file", ROOT, path), Err(errno::NOTCAPABLE), "{path}");
        // The directory beside the secret.
        let sibling = path.replace("secret", "dir").replace("inside/file", "inside/dir");
        assert_eq!(guest.remove_directory(ROOT, &sibling), Err(errno::NOTCAPABLE), "{sibling}");
        let made = format!("{sibling}/made");
        assert_eq!(guest.create_directory(ROOT, &made), Err(errno::NOTCAPABLE), "{made}");
    }
    // A directory opened further in is the wall for paths relative to it.
    for path in ["../../file", "..", "../deep", "../../../outside/secret"] {
        assert_eq!(guest.open(deep, path, 0, 0), Err(errno::NOTCAPABLE), "{path}");
        assert_eq!(guest.path_filestat(deep, 0, path), Err(errno::NOTCAPABLE), "{path}");
    }
    host.check_untouched();
    assert_eq!(fs::read(host.inside.join("file")).unwrap(), b"public");
}

#[test]
fn links_a_guest_makes_do_not_lead_out() {
    let host = Host::new();
    let mut guest = host.guest();
    let secret = host.outside.join("secret");
    assert_eq!(guest.symlink(secret.to_str().unwrap(), ROOT, "mine"), Err(errno::NOTCAPABLE));
    assert_eq!(guest.symlink("/", ROOT, "mine"), Err(errno::NOTCAPABLE));
    // A relative one may be made, as one can be moved to where it leads somewhere else.
    guest.symlink("../outside/secret", ROOT, "mine").unwrap();
    let opened = guest.path_open(ROOT, SYMLINK_FOLLOW, b"mine", 0, 0, 0, 0);
    assert_eq!(opened, Err(errno::NOTCAPABLE));
    // Made deep inside, where it leads nowhere wrong, then moved up.
    guest.symlink("../../file", ROOT, "dir/deep/good").unwrap();
    guest.path_open(ROOT, SYMLINK_FOLLOW, b"dir/deep/good", 0, 0, 0, 0).unwrap();
    guest.rename(ROOT, "dir/deep/good", ROOT, "bad").unwrap();
    let opened = guest.path_open(ROOT, SYMLINK_FOLLOW, b"bad", 0, 0, 0, 0);
    assert_eq!(opened, Err(errno::NOTCAPABLE));
    host.check_untouched();
}

#[test]
fn an_open_directory_which_is_moved_is_no_ladder() {
    let host = Host::new();
    let mut guest = host.guest();
    let deep = guest.open_dir("dir/deep").unwrap();
    guest.rename(ROOT, "dir/deep", ROOT, "shallow").unwrap();
    assert_eq!(guest.open(deep, "../file", 0, 0), Err(errno::NOTCAPABLE));
    // Even when the host itself moves it outside.
    fs::rename(host.inside.join("shallow"), host.outside.join("moved")).unwrap();
    assert_eq!(guest.open(deep, "../secret", 0, 0), Err(errno::NOTCAPABLE));
    let fd = guest.open(deep, "still-mine", oflags::CREAT, 0).unwrap();
    guest.close(fd).unwrap();
    assert!(host.outside.join("moved/still-mine").exists());
}

#[test]
fn one_preopened_directory_is_no_way_into_another() {
    let host = Host::new();
    let ctx = heapwright_wasi::WasiCtx::builder()
        .preopened_dir(&host.inside, "/in", Perms::ReadWrite)
        .preopened_dir(&host.outside, "/out", Perms::ReadOnly)
        .build()
        .unwrap();
    let mut guest = Guest::new(ctx);
    let out = ROOT + 1;
    let fd = guest.open(out, "secret", 0, rights::FD_READ).unwrap();
    assert_eq!(guest.read(fd, 10), Ok(b"secret".to_vec()));
    // Rights are those of the directory a path is given with, and a path stays in that directory.
    for path in host.escapes() {
        assert_eq!(guest.open(ROOT, &path, 0, 0), Err(errno::NOTCAPABLE), "{path}");
    }
    assert_eq!(guest.rename(ROOT, "file", out, "file"), Err(errno::NOTCAPABLE));
    assert_eq!(guest.rename(out, "secret", ROOT, "secret"), Err(errno::NOTCAPABLE));
    assert_eq!(guest.link(out, 0, "secret", ROOT, "secret"), Err(errno::NOTCAPABLE));
    host.check_untouched();
}
