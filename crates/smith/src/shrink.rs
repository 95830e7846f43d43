//! From an input that fails to a short one.

/// The shortest input found that `fails` too, by leaving out and zeroing ranges of bytes, in at most `runs` runs.
///
/// An input that fails for another reason is as welcome: whoever wants to tell them apart says so in `fails`.
pub fn shortest(bytes: &[u8], runs: usize, mut fails: impl FnMut(&[u8]) -> bool) -> Vec<u8> {
    let mut best = bytes.to_vec();
    let mut runs = runs;
    let mut fails = |bytes: &[u8]| {
        runs = runs.saturating_sub(1);
        (runs > 0).then(|| fails(bytes))
    };
    loop {
        let before = best.clone();
        let mut length = best.len().next_power_of_two() / 2;
        while length > 0 {
            let mut at = 0;
            while at < best.len() {
                let end = (at + length).min(best.len());
                let without = [&best[..at], &best[end..]].concat();
                match fails(&without) {
                    Some(true) => {
                        best = without;
                        continue;
                    }
                    Some(false) => {}
                    None => return best,
                }
                if best[at..end].iter().any(|&byte| byte != 0) {
                    let mut zeroed = best.clone();
                    zeroed[at..end].fill(0);
                    match fails(&zeroed) {
                        Some(true) => best = zeroed,
                        Some(false) => {}
                        None => return best,
                    }
                }
                at = end;
            }
            length /= 2;
        }
        if best == before {
            return best;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::shortest;

    #[test]
    fn keeps_what_matters() {
        let bytes: Vec<u8> = (0..=255).collect();
        let fails = |bytes: &[u8]| bytes.contains(&17) && bytes.contains(&200);
        assert_eq!(shortest(&bytes, 10_000, fails), [17, 200]);
        // Zeros are simplest where the length matters.
        assert_eq!(shortest(&bytes, 10_000, |bytes| bytes.len() >= 5), [0; 5]);
    }

    #[test]
    fn stops_after_the_runs_it_has() {
        let mut runs = 0;
        let short = shortest(&[1; 4096], 50, |bytes| {
            runs += 1;
            bytes.len() > 4000
        });
        assert!(runs <= 50);
        assert!(short.len() > 4000);
    }
}
