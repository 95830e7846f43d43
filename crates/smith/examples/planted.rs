//! Plants bugs, one at a time, and sees which fuzz target finds them, how soon.
//!
//! ```text
//! cargo run -p heapwright-smith --features planted-bugs --example planted -- [--seconds N] [BUG…]
//! ```
//!
//! Each target runs on inputs made of seeds 0, 1, 2, … in a process of its own, because a bug may end it, until it
//! finds something or the time is over (default 60 seconds). Without any bug nothing may be found. The exit code is 1
//! when that fails, or when a bug is found by no target.

use heapwright_gc_heap::{Bug, plant};
use heapwright_smith::bytes_of;
use heapwright_smith::targets::{ALL, Target, by_name};
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, ExitCode, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// What a target did about a bug.
struct Hunt {
    found: bool,
    inputs: u64,
    time: Duration,
}

fn main() -> ExitCode {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|first| first == "--child") {
        return child(&arguments[1], &arguments[2]);
    }
    let mut limit = 60;
    if let Some(at) = arguments.iter().position(|argument| argument == "--seconds") {
        limit = arguments.get(at + 1).and_then(|n| n.parse().ok()).expect("--seconds takes a number");
        arguments.drain(at..at + 2);
    }
    let limit = Duration::from_secs(limit);
    let mut missed = false;
    print!("| {:<30} |", "bug");
    ALL.iter().for_each(|target| print!(" {:<26} |", target.name));
    print!("\n|{}|", "-".repeat(32));
    ALL.iter().for_each(|_| print!("{}|", "-".repeat(28)));
    println!();
    for bug in [None].into_iter().chain(Bug::ALL.iter().copied().map(Some)) {
        let name = bug.map_or("none".into(), |bug| format!("{bug:?}"));
        if !arguments.is_empty() && !arguments.contains(&name) {
            continue;
        }
        print!("| {:<30} |", bug.map_or("none", Bug::text));
        let mut found = false;
        for target in ALL {
            let hunt = hunt(&name, target, limit);
            found |= hunt.found;
            let inputs = if hunt.inputs == 1 { "input" } else { "inputs" };
            let cell = match hunt.found {
                true => format!("{} {inputs}, {:.1} s", hunt.inputs, hunt.time.as_secs_f64()),
                false => format!("— ({} {inputs})", hunt.inputs),
            };
            print!(" {cell:<26} |");
            let _ = std::io::stdout().flush();
        }
        println!();
        missed |= found != bug.is_some();
    }
    ExitCode::from(u8::from(missed))
}

/// Runs a target with a bug planted until it ends, or too long.
fn hunt(bug: &str, target: &Target, limit: Duration) -> Hunt {
    let myself = std::env::current_exe().expect("a program knows where it is");
    let started = Instant::now();
    let mut child = Command::new(myself)
        .args(["--child", bug, target.name])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("a program can run itself");
    let lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
    let (sender, receiver) = mpsc::channel();
    let reader = std::thread::spawn(move || {
        for line in lines.map_while(Result::ok) {
            let _ = sender.send(line);
        }
    });
    let (mut inputs, mut found) = (0, true);
    loop {
        match receiver.recv_timeout(limit.saturating_sub(started.elapsed())) {
            Ok(_) => inputs += 1,
            Err(mpsc::RecvTimeoutError::Disconnected) => break,
            Err(mpsc::RecvTimeoutError::Timeout) => {
                found = false;
                break;
            }
        }
    }
    let time = started.elapsed();
    // It may have ended already.
    let _ = child.kill();
    let _ = child.wait();
    let _ = reader.join();
    Hunt { found, inputs, time }
}

/// Says so before each input; ends only when something is found.
fn child(bug: &str, target: &str) -> ExitCode {
    let target = by_name(target).expect("a target");
    plant(Bug::ALL.iter().copied().find(|known| format!("{known:?}") == bug));
    for seed in 0u64.. {
        if writeln!(std::io::stdout(), "{seed}").is_err() {
            break;
        }
        let length = target.bytes / 2 + (seed as usize).wrapping_mul(7919) % (target.bytes * 3 / 2);
        if (target.run)(&bytes_of(seed, length)).is_err() {
            break;
        }
    }
    ExitCode::FAILURE
}
