//! `heapwright collectors`.

use crate::failure::Failure;
use crate::output::{columns, print};
use heapwright::Collector;

/// Lists the collectors.
pub(crate) fn run() -> Result<u8, Failure> {
    let default = Collector::default();
    let rows: Vec<_> = Collector::all()
        .map(|collector| {
            let mut summary = collector.spec().summary.to_owned();
            if collector == default {
                summary.push_str(" (default)");
            }
            vec![collector.name().to_owned(), summary]
        })
        .collect();
    print(&columns(&rows, &[]))?;
    Ok(0)
}
