//! How long programs take to their first output, and to their end: processes that take turns, medians.
//!
//! ```text
//! cargo run --release -p heapwright-benches --example first_output -- [--runs N] -- COMMAND ARGS… [-- COMMAND ARGS…]…
//! ```
//!
//! Each command runs once unmeasured (it fills caches, of files and of compiled code), then all take turns. A command
//! must print something and succeed. A table follows, in milliseconds: median, fastest, and the ratio of the medians to
//! the first command's.

use std::io::Read;
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let mut parts = args.split(|arg| arg == "--");
    let runs = match parts.next() {
        Some([]) => Some(15),
        Some([flag, runs]) if flag == "--runs" => runs.parse().ok().filter(|&runs| runs > 0),
        _ => None,
    };
    let commands: Vec<&[String]> = parts.filter(|command| !command.is_empty()).collect();
    let (Some(runs), false) = (runs, commands.is_empty()) else {
        eprintln!("usage: first_output [--runs N] -- COMMAND ARGS… [-- COMMAND ARGS…]…");
        return ExitCode::from(2);
    };
    match measure(runs, &commands) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
    }
}

fn measure(runs: usize, commands: &[&[String]]) -> Result<(), String> {
    for command in commands {
        run(command)?;
    }
    let mut times: Vec<(Vec<f64>, Vec<f64>)> = vec![Default::default(); commands.len()];
    for _ in 0..runs {
        for (command, (first, whole)) in commands.iter().zip(&mut times) {
            let (a, b) = run(command)?;
            first.push(a);
            whole.push(b);
        }
    }
    println!("first output        whole run           ratio");
    let mut reference = None;
    for (command, (first, whole)) in commands.iter().zip(&mut times) {
        let ((first, best_first), (whole, best_whole)) = (median(first), median(whole));
        let ratio = first / *reference.get_or_insert(first);
        println!(
            "{first:7.1} ({best_first:7.1})   {whole:7.1} ({best_whole:7.1})   {ratio:5.2}   {}",
            command.join(" ")
        );
    }
    Ok(())
}

/// Milliseconds to the first byte and to the end.
fn run(command: &[String]) -> Result<(f64, f64), String> {
    let named = |what: &dyn std::fmt::Display| format!("{}: {what}", command.join(" "));
    let begun = Instant::now();
    let mut child = Command::new(&command[0])
        .args(&command[1..])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|e| named(&e))?;
    let mut output = child.stdout.take().expect("it is piped");
    let mut byte = [0];
    let first = output.read_exact(&mut byte).map(|()| begun.elapsed());
    let rest = output.read_to_end(&mut Vec::new());
    let status = child.wait().map_err(|e| named(&e))?;
    let whole = begun.elapsed();
    if !status.success() {
        return Err(named(&status));
    }
    rest.map_err(|e| named(&e))?;
    let first = first.map_err(|_| named(&"it prints nothing"))?;
    Ok((first.as_secs_f64() * 1e3, whole.as_secs_f64() * 1e3))
}

/// Median and smallest.
fn median(times: &mut [f64]) -> (f64, f64) {
    times.sort_by(f64::total_cmp);
    (times[times.len() / 2], times[0])
}
