//! The compile cache: `heapwright cache`, and the options of `heapwright run`.

use crate::args::{CacheAction, CacheArgs, CacheCommand};
use crate::failure::Failure;
use crate::output::print;
use heapwright::{Cache, CacheContents, DEFAULT_CACHE_LIMIT};
use std::path::Path;

/// The cache that the options of a run ask for. One that nobody asked for by name is done without when it cannot be
/// had.
pub(crate) fn of_run(args: &CacheArgs) -> Result<Option<Cache>, Failure> {
    if args.no_cache {
        return Ok(None);
    }
    if let Some(dir) = &args.cache_dir {
        let refused = |e| Failure::usage(format_args!("--cache-dir: {} cannot be used: {e}", dir.display()));
        return Cache::open(dir, args.cache_size).map(Some).map_err(refused);
    }
    let Some(dir) = Cache::default_dir() else {
        log::info!("there is no compile cache: neither $XDG_CACHE_HOME nor $HOME names a directory");
        return Ok(None);
    };
    let cache = Cache::open(&dir, args.cache_size);
    Ok(cache.inspect_err(|e| log::warn!("there is no compile cache: {}: {e}", dir.display())).ok())
}

/// Runs `heapwright cache`.
pub(crate) fn run(args: &CacheCommand) -> Result<u8, Failure> {
    let dir = args.cache_dir.clone().or_else(Cache::default_dir);
    let dir =
        dir.ok_or_else(|| Failure::usage("neither $XDG_CACHE_HOME nor $HOME names a directory: give --cache-dir"))?;
    let failed = |e| Failure::unusable(format_args!("the cache in {}: {e}", dir.display()));
    // Looking must not make it.
    let cache = match dir.exists() {
        true => Some(Cache::open(&dir, DEFAULT_CACHE_LIMIT).map_err(failed)?),
        false => None,
    };
    let of = |contents: fn(&Cache) -> std::io::Result<CacheContents>| {
        cache.as_ref().map_or(Ok(CacheContents::default()), contents).map_err(failed)
    };
    let text = match args.action {
        CacheAction::Info => describe(&dir, of(Cache::contents)?, ""),
        CacheAction::Clear => describe(&dir, of(Cache::clear)?, " removed"),
    };
    print(&text)?;
    Ok(0)
}

fn describe(dir: &Path, contents: CacheContents, what: &str) -> String {
    let CacheContents { entries, bytes } = contents;
    format!("{}: {entries} {}, {bytes} bytes{what}\n", dir.display(), if entries == 1 { "entry" } else { "entries" })
}
