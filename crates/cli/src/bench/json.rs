//! What programs read: one object a line.

use super::measure::{Measured, Row};
use serde_json::{Value, json};

/// The lines of a program, one for each row.
pub(super) fn lines(measured: &Measured) -> String {
    measured.rows.iter().map(|row| format!("{}\n", line(&measured.name, row))).collect()
}

/// Times in milliseconds, null where there is none. After the keys that every row has come those that only some engines
/// give.
fn line(program: &str, row: &Row) -> Value {
    let figures = row.figures().cloned().unwrap_or_default();
    json!({
        "program": program,
        "engine": row.engine,
        "collector": row.collector,
        "compile_ms": figures.compile_ms,
        "first_ms": figures.first_ms,
        "median_ms": figures.median_ms(),
        "min_ms": figures.min_ms(),
        "max_ms": figures.max_ms(),
        "gc_ms": figures.gc_ms,
        "peak_rss_kib": figures.peak_rss_kib,
        "result": figures.result,
        "samples": figures.steady.len(),
        "heap_kib": figures.heap_kib,
        "code_bytes": figures.code_bytes,
        "output_ms": figures.output_ms,
        "restarts": figures.restarts,
        "error": row.outcome.as_ref().err(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::figures::Figures;

    #[test]
    fn a_line_has_the_keys_in_any_case() {
        let row = |outcome| Row { engine: "e".into(), collector: "c".into(), ours: true, outcome };
        let good = Figures { steady: vec![1.0, 3.0, 2.0], result: Some("5".into()), ..Figures::default() };
        let rows = vec![row(Ok(good)), row(Err("timed out".into()))];
        let text = lines(&Measured { name: "p".into(), result: None, rows });
        let parsed: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(
            (&parsed[0]["median_ms"], &parsed[0]["max_ms"], &parsed[0]["result"]),
            (&json!(2.0), &json!(3.0), &json!("5"))
        );
        assert_eq!((&parsed[1]["median_ms"], &parsed[1]["error"]), (&Value::Null, &json!("timed out")));
        for key in [
            "program",
            "engine",
            "collector",
            "compile_ms",
            "first_ms",
            "median_ms",
            "min_ms",
            "max_ms",
            "gc_ms",
            "peak_rss_kib",
            "result",
        ] {
            assert!(parsed.iter().all(|line| line.get(key).is_some()), "{key}");
        }
    }
}
