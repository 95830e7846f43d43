//! What a cache promises: whole entries under concurrency, a bounded size, a directory that only its user writes to.

use heapwright_cache::{Cache, Contents, Key, Put, replace};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use std::fs::{self, Permissions};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};
use std::time::{Duration, SystemTime};
use tempfile::TempDir;

fn key(n: u8) -> Key {
    Key([n; 32])
}

fn read(cache: &Cache, n: u8) -> Option<Vec<u8>> {
    let mut contents = Vec::new();
    cache.get(&key(n))?.read_to_end(&mut contents).unwrap();
    Some(contents)
}

/// Makes an entry look as if it had been used some hours ago.
fn age(cache: &Cache, n: u8, hours: u64) {
    let file = cache.get(&key(n)).unwrap();
    file.set_modified(SystemTime::now() - Duration::from_secs(3600 * hours)).unwrap();
}

#[test]
fn entries_come_back_and_go() {
    let dir = TempDir::new().unwrap();
    let cache = Cache::open(dir.path().join("made/on/demand"), 1000).unwrap();
    assert!(read(&cache, 1).is_none());
    cache.put(&key(1), b"one").unwrap();
    cache.put(&key(2), b"two").unwrap();
    cache.put(&key(1), b"uno, replaced").unwrap();
    assert_eq!(read(&cache, 1).unwrap(), b"uno, replaced");
    assert_eq!(cache.contents().unwrap(), Contents { entries: 2, bytes: 16 });
    cache.remove(&key(1));
    cache.remove(&key(1));
    assert!(read(&cache, 1).is_none());
    fs::write(cache.dir().join("notes.txt"), "mine").unwrap();
    assert_eq!(cache.clear().unwrap(), Contents { entries: 1, bytes: 3 });
    assert_eq!(cache.contents().unwrap(), Contents::default());
    assert_eq!(fs::read_dir(cache.dir()).unwrap().count(), 1, "other files stay");
}

#[test]
fn an_open_entry_outlives_its_replacement() {
    let dir = TempDir::new().unwrap();
    let cache = Cache::open(dir.path(), 1000).unwrap();
    cache.put(&key(1), b"old").unwrap();
    let mut old = cache.get(&key(1)).unwrap();
    cache.put(&key(1), b"new and longer").unwrap();
    let mut contents = String::new();
    old.read_to_string(&mut contents).unwrap();
    assert_eq!(contents, "old");
}

#[test]
fn what_was_not_used_for_longest_makes_room() {
    let dir = TempDir::new().unwrap();
    let cache = Cache::open(dir.path(), 100).unwrap();
    for (n, hours) in [(1, 3), (2, 9), (3, 5)] {
        cache.put(&key(n), &[n; 30]).unwrap();
        age(&cache, n, hours);
    }
    cache.put(&key(4), &[4; 30]).unwrap();
    let there = |n| cache.contents().unwrap().entries > 0 && cache.get(&key(n)).is_some();
    assert_eq!([1, 2, 3, 4].map(there), [true, false, true, true]);
    // Looking at them has made all of them new: any two may go for one that needs the room of three.
    cache.put(&key(5), &[5; 90]).unwrap();
    assert_eq!(cache.contents().unwrap(), Contents { entries: 1, bytes: 90 });
    // What can never fit drives out nothing.
    assert!(!cache.put(&key(6), &[6; 101]).unwrap());
    assert_eq!(read(&cache, 5).unwrap(), [5; 90]);
    assert!(read(&cache, 6).is_none());
}

#[test]
fn what_a_dead_writer_left_is_removed_in_the_end() {
    let dir = TempDir::new().unwrap();
    let cache = Cache::open(dir.path(), 1000).unwrap();
    let name = format!("{}.hwm.new-1-0", "ab".repeat(32));
    for (name, hours) in [(name.clone(), 2), (name.replace("1-0", "2-0"), 0)] {
        let file = fs::File::create(cache.dir().join(name)).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(3600 * hours)).unwrap();
    }
    cache.put(&key(1), b"x").unwrap();
    assert!(!cache.dir().join(&name).exists());
    assert!(cache.dir().join(name.replace("1-0", "2-0")).exists(), "its writer may be alive");
}

#[test]
fn a_directory_that_others_write_to_is_refused() {
    let dir = TempDir::new().unwrap();
    for mode in [0o777, 0o720, 0o702] {
        fs::set_permissions(dir.path(), Permissions::from_mode(mode)).unwrap();
        let refused = Cache::open(dir.path(), 1000).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::PermissionDenied, "{mode:o}");
    }
    fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
    Cache::open(dir.path(), 1000).unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    assert!(Cache::open(&file, 1000).is_err());
}

#[test]
fn readers_see_whole_entries_while_writers_replace_them() {
    let dir = TempDir::new().unwrap();
    let cache = Cache::open(dir.path(), 1 << 20).unwrap();
    cache.put(&key(1), &[0; 5000]).unwrap();
    std::thread::scope(|scope| {
        for writer in 0..2u8 {
            let cache = cache.clone();
            scope.spawn(move || {
                for i in 0..100 {
                    cache.put(&key(1), &vec![writer; 5000 + i]).unwrap();
                }
            });
        }
        for _ in 0..200 {
            let contents = read(&cache, 1).expect("a rename leaves no gap");
            assert!(contents.len() >= 5000 && contents.iter().all(|&b| b == contents[0]));
        }
    });
    assert_eq!(fs::read_dir(cache.dir()).unwrap().count(), 1, "nothing temporary is left");
}

#[test]
fn a_failed_replacement_leaves_nothing() {
    let dir = TempDir::new().unwrap();
    assert!(replace(&dir.path().join("no/such/place"), b"x").is_err());
    let taken = dir.path().join("directory");
    fs::create_dir_all(taken.join("full")).unwrap();
    assert!(replace(&taken, b"x").is_err());
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn a_replacement_keeps_permissions_and_links() {
    let dir = TempDir::new().unwrap();
    let (file, link, nowhere) = (dir.path().join("file"), dir.path().join("link"), dir.path().join("nowhere"));
    fs::write(&file, "old").unwrap();
    fs::set_permissions(&file, Permissions::from_mode(0o640)).unwrap();
    symlink("file", &link).unwrap();
    symlink("made", &nowhere).unwrap();
    replace(&link, b"new").unwrap();
    replace(&nowhere, b"there").unwrap();
    assert_eq!(fs::read(&file).unwrap(), b"new");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o640);
    assert_eq!(fs::read(dir.path().join("made")).unwrap(), b"there");
    assert!(link.is_symlink() && nowhere.is_symlink());
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 4, "nothing else is left");
}

#[test]
fn what_is_no_file_is_written_to_and_stays() {
    let dir = TempDir::new().unwrap();
    let pipe = dir.path().join("pipe");
    mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    let read = std::thread::scope(|scope| {
        let reader = scope.spawn(|| fs::read(&pipe).unwrap());
        replace(&pipe, b"through").unwrap();
        reader.join().unwrap()
    });
    assert_eq!(read, b"through");
    assert!(fs::metadata(&pipe).unwrap().file_type().is_fifo());
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn only_the_entry_that_was_seen_is_replaced() {
    let dir = TempDir::new().unwrap();
    let cache = Cache::open(dir.path(), 100).unwrap();
    let put_if = |seen: Option<&fs::File>, contents: &[u8]| cache.put_if(&key(1), seen, contents).unwrap();
    assert_eq!(put_if(None, b"one"), Put::Kept);
    assert_eq!(put_if(None, b"two"), Put::Changed, "there is one by now");
    let one = cache.get(&key(1)).unwrap();
    assert_eq!(put_if(Some(&one), b"one more"), Put::Kept);
    assert_eq!(put_if(Some(&one), b"two"), Put::Changed, "it is another one");
    assert_eq!(put_if(Some(&one), &[0; 101]), Put::TooLarge);
    assert_eq!(read(&cache, 1).unwrap(), b"one more");
    cache.remove(&key(1));
    assert_eq!(put_if(Some(&one), b"two"), Put::Changed, "it is gone");
    assert_eq!(put_if(None, b"again"), Put::Kept);
    assert_eq!(read(&cache, 1).unwrap(), b"again");
    assert_eq!(fs::read_dir(cache.dir()).unwrap().count(), 1, "nothing else is left");
}

/// Each writer adds its letters one at a time; none is lost.
#[test]
fn additions_of_many_writers_add_up() {
    const LETTERS: usize = 25;
    let dir = TempDir::new().unwrap();
    let add = |letter: u8| {
        // A handle each, as processes have.
        let cache = Cache::open(dir.path(), 10_000).unwrap();
        for _ in 0..LETTERS {
            loop {
                let seen = cache.get(&key(1));
                let mut contents = Vec::new();
                seen.as_ref().map(|mut file| file.read_to_end(&mut contents).unwrap());
                contents.push(letter);
                if cache.put_if(&key(1), seen.as_ref(), &contents).unwrap() == Put::Kept {
                    break;
                }
            }
        }
    };
    std::thread::scope(|scope| {
        b"abcdef".iter().for_each(|&letter| {
            _ = scope.spawn({
                let add = &add;
                move || add(letter)
            })
        })
    });
    let contents = read(&Cache::open(dir.path(), 10_000).unwrap(), 1).unwrap();
    assert_eq!(contents.len(), 6 * LETTERS);
    for letter in b"abcdef" {
        assert_eq!(contents.iter().filter(|c| *c == letter).count(), LETTERS);
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}
