//! What people read.

use super::figures::{Figures, geometric_mean};
use super::measure::{Measured, Row};
use crate::output::columns;
use std::fmt::Write;

/// A program's table. Ratios are to the best of our collectors, or to the first row that has a figure when none of ours
/// is there.
pub(super) fn of_program(measured: &Measured) -> String {
    let base = base(&measured.rows);
    let commands = measured.rows.iter().any(|row| row.figures().is_some_and(|f| f.output_ms.is_some()));
    let mut head = vec![
        "engine",
        "collector",
        "median ms",
        "spread",
        "ratio",
        "in GC ms",
        "first ms",
        "compile ms",
        "peak MiB",
        "heap MiB",
    ];
    if commands {
        head.push("output ms");
    }
    let mut lines = vec![head.iter().map(|&h| h.to_owned()).collect::<Vec<_>>()];
    for row in &measured.rows {
        let mut line = vec![row.engine.clone(), row.collector.clone()];
        match &row.outcome {
            Ok(figures) => {
                line.extend(cells(figures, base));
                if commands {
                    line.push(ms(figures.output_ms));
                }
            }
            Err(why) => line.push(why.clone()),
        }
        lines.push(line);
    }
    // A reason is as long as it likes; it must not make a column of figures wide.
    let figures: Vec<Vec<String>> = lines.iter().filter(|line| line.len() > 3).cloned().collect();
    let mut text = format!("{}\n{}", measured.title(), columns(&figures, &[2, 3, 4, 5, 6, 7, 8, 9, 10]));
    for line in lines.iter().filter(|line| line.len() == 3) {
        let _ = writeln!(text, "  {} {}: {}", line[0], line[1], line[2]);
    }
    text
}

fn cells(figures: &Figures, base: Option<f64>) -> Vec<String> {
    let ratio = |value: f64| base.map(|base| value / base);
    let (least, most) = (figures.min_ms().unwrap_or(0.0), figures.max_ms().unwrap_or(0.0));
    let spread = figures.median_ms().filter(|m| *m > 0.0).map(|m| (most - least) / m * 100.0);
    vec![
        ms(figures.median_ms()),
        spread.map_or_else(dash, |percent| format!("{percent:.0}%")),
        figures.median_ms().and_then(ratio).map_or_else(dash, |ratio| format!("{ratio:.2}")),
        ms(figures.gc_ms),
        ms(figures.first_ms),
        ms(figures.compile_ms),
        mebibytes(figures.peak_rss_kib),
        mebibytes(figures.heap_kib),
    ]
}

/// The figure that ratios refer to.
fn base(rows: &[Row]) -> Option<f64> {
    let medians = |ours: bool| rows.iter().filter(move |row| !ours || row.ours).filter_map(Row::median);
    medians(true).reduce(f64::min).or_else(|| medians(false).next())
}

/// Geometric means over all programs: of each row, and of the best against the best.
pub(super) fn summary(all: &[Measured]) -> String {
    let mut names: Vec<(String, String)> = Vec::new();
    for row in all.iter().flat_map(|measured| &measured.rows) {
        let name = (row.engine.clone(), row.collector.clone());
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let mut lines = vec![["engine", "collector", "ratio", "programs"].map(str::to_owned).to_vec()];
    for (engine, collector) in &names {
        let ratios: Vec<f64> = all
            .iter()
            .filter_map(|measured| {
                let row = measured.rows.iter().find(|row| row.engine == *engine && row.collector == *collector)?;
                Some(row.median()? / base(&measured.rows)?)
            })
            .collect();
        let mean = geometric_mean(&ratios).map_or_else(dash, |mean| format!("{mean:.3}"));
        lines.push(vec![engine.clone(), collector.clone(), mean, ratios.len().to_string()]);
    }
    let mut text =
        format!("geometric means of ratios to the best collector of Heapwright\n{}", columns(&lines, &[2, 3]));
    let engines: Vec<&str> =
        all.iter().flat_map(|m| &m.rows).filter(|row| !row.ours).map(|row| row.engine.as_str()).collect();
    let mut seen = Vec::new();
    for engine in engines {
        if !seen.contains(&engine) {
            seen.push(engine);
            text += &best_against(all, engine);
        }
    }
    text
}

/// The best of our collectors against the best of an engine's: mean, extreme, and what is lost.
fn best_against(all: &[Measured], engine: &str) -> String {
    let best = |measured: &Measured, ours: bool| {
        let rows = measured.rows.iter().filter(|row| if ours { row.ours } else { row.engine == engine });
        rows.filter_map(Row::median).reduce(f64::min)
    };
    let mut ratios: Vec<(f64, &str)> =
        all.iter().filter_map(|m| Some((best(m, true)? / best(m, false)?, m.name.as_str()))).collect();
    ratios.sort_unstable_by(|a, b| b.0.total_cmp(&a.0));
    let Some(mean) = geometric_mean(&ratios.iter().map(|r| r.0).collect::<Vec<_>>()) else { return String::new() };
    let lost: Vec<String> =
        ratios.iter().take_while(|r| r.0 > 1.0).map(|(ratio, name)| format!("{name} {ratio:.2}")).collect();
    let lost = if lost.is_empty() { "slower nowhere".to_owned() } else { format!("slower on {}", lost.join(", ")) };
    format!("our best / best of {engine}: {mean:.3} over {} programs; {lost}\n", ratios.len())
}

fn dash() -> String {
    "-".to_owned()
}

/// Three figures that matter.
fn ms(value: Option<f64>) -> String {
    match value {
        None => dash(),
        Some(v) if v >= 100.0 => format!("{v:.0}"),
        Some(v) if v >= 10.0 => format!("{v:.1}"),
        Some(v) if v >= 0.1 || v == 0.0 => format!("{v:.2}"),
        Some(v) => format!("{v:.5}"),
    }
}

fn mebibytes(kib: Option<u64>) -> String {
    kib.map_or_else(dash, |kib| format!("{:.1}", kib as f64 / 1024.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(engine: &str, collector: &str, ours: bool, times: &[f64]) -> Row {
        let outcome = match times {
            [] => Err("no reason".to_owned()),
            _ => Ok(Figures { steady: times.to_vec(), ..Figures::default() }),
        };
        Row { engine: engine.into(), collector: collector.into(), ours, outcome }
    }

    fn measured(name: &str, rows: Vec<Row>) -> Measured {
        Measured { name: name.into(), result: Some("1".into()), rows }
    }

    #[test]
    fn ratios_are_to_our_best() {
        let rows = vec![
            row("node 24", "v8", false, &[5.0]),
            row("heapwright", "drc", true, &[20.0]),
            row("heapwright", "copying", true, &[9.0, 10.0, 11.0]),
            row("wasmtime 48", "drc", false, &[]),
        ];
        let text = of_program(&measured("x", rows));
        let cells: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(cells[2][..6], ["node", "24", "v8", "5.00", "0%", "0.50"], "{text}");
        assert_eq!(cells[3][..5], ["heapwright", "drc", "20.0", "0%", "2.00"], "{text}");
        assert_eq!(cells[4][..5], ["heapwright", "copying", "10.0", "20%", "1.00"], "{text}");
        assert_eq!(cells[5].join(" "), "wasmtime 48 drc: no reason", "{text}");
    }

    #[test]
    fn the_summary_says_where_we_lose() {
        let all = [
            measured("a", vec![row("heapwright", "drc", true, &[4.0]), row("node 24", "v8", false, &[2.0])]),
            measured("b", vec![row("heapwright", "drc", true, &[1.0]), row("node 24", "v8", false, &[8.0])]),
        ];
        let text = summary(&all);
        assert!(text.contains("our best / best of node 24: 0.500 over 2 programs; slower on a 2.00"), "{text}");
        let node = text.lines().find(|line| line.contains("v8")).unwrap();
        // 0.5 and 8: the root of their product.
        assert_eq!(node.split_whitespace().collect::<Vec<_>>(), ["node", "24", "v8", "2.000", "2"], "{text}");
    }
}
