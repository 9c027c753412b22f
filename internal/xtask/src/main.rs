//! Chores: the one test command, tidy checks, benchmarks.
fn main() {}
