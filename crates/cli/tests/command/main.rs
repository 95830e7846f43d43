//! The command as a user meets it: output, messages and exit codes.

mod bench;
mod compiled;
mod explore;
mod inspect;
mod listeners;
mod run;
mod support;
mod wast;
