//! The command as a user meets it: output, messages and exit codes.

mod compiled;
mod inspect;
mod listeners;
mod run;
mod support;
mod wast;
