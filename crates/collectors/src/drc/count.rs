//! The count word: header word 1 of every object.
//!
//! ```text
//! 31                                        1    0
//! | references counted at the last collection | LOGGED |
//! ```
//!
//! *LOGGED* set: stores into the object need no log entry, because its old contents are logged already or because it
//! is young. A count of 0 between collections means young. A count that reaches the top sticks there: the object is
//! then reclaimed by the cycle collection only, which counts anew.

/// Index of the count word in the header.
pub(super) const COUNT_WORD: u8 = 1;
/// Its byte offset in the object.
pub(super) const COUNT_OFFSET: u32 = 4 * COUNT_WORD as u32;
/// The bit that makes stores cheap.
pub(super) const LOGGED: u32 = 1;
/// What one reference adds.
pub(super) const ONE: u32 = 2;
/// The count word of a new object: young, and for that reason logged.
pub(super) const YOUNG: u32 = LOGGED;

const STUCK: u32 = !LOGGED;

/// Whether nothing is counted.
#[inline(always)]
pub(super) fn is_zero(word: u32) -> bool {
    word < ONE
}

/// How many references are counted.
pub(super) fn references(word: u32) -> u32 {
    word / ONE
}

/// Whether the count is at its top and says nothing any more.
pub(super) fn is_stuck(word: u32) -> bool {
    word >= STUCK
}

/// One reference more.
#[inline(always)]
pub(super) fn up(word: u32) -> u32 {
    if word >= STUCK { word } else { word + ONE }
}

/// One reference less; the count must not be 0.
#[inline(always)]
pub(super) fn down(word: u32) -> u32 {
    if word >= STUCK { word } else { word - ONE }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_go_up_and_down_and_keep_the_flag() {
        for flag in [0, LOGGED] {
            let word = up(up(flag));
            assert_eq!((word, word & LOGGED), (2 * ONE + flag, flag));
            assert!(is_zero(flag) && is_zero(down(down(word))) && !is_zero(down(word)));
        }
    }

    #[test]
    fn a_full_count_sticks() {
        for flag in [0, LOGGED] {
            let last = STUCK - ONE + flag;
            let stuck = up(last);
            assert_eq!(stuck, STUCK + flag);
            assert_eq!((up(stuck), down(stuck)), (stuck, stuck));
        }
    }
}
