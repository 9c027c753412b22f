//! A directory of the machine.

/// A directory of the machine.
#[derive(Debug)]
pub struct FileDisk;
