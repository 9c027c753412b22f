//! `cargo xtask tidy`: what the tree promises about itself.
//!
//! ```text
//!   files ──▶ rules ──▶ complaints        manifests  who may know whom, lints, versions
//!                                         code       machines reach no clock, socket or runtime
//!                                         links      documents lead somewhere
//!                                         words      nothing of the builder's machine
//! ```
//!
//! A rule sees texts, not syntax: what it cannot tell apart it refuses, and says how to write it so
//! that it can.

mod code;
mod links;
mod manifests;
mod rust;
mod tree;
mod words;

use std::fmt;
use std::io::Write;
use std::path::Path;

use self::tree::Tree;

/// What is not in order, and where.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Complaint {
    /// The file, beneath the root.
    path: String,
    /// Counted from 1; 0 for the file as a whole.
    line: usize,
    what: String,
}

impl Complaint {
    fn new(path: &str, line: usize, what: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, what: what.into() }
    }
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.path, self.what),
            line => write!(f, "{}:{line}: {}", self.path, self.what),
        }
    }
}

/// Checks the tree and prints the complaints. True when there are none.
pub(crate) fn run(root: &Path, out: &mut dyn Write) -> anyhow::Result<bool> {
    let tree = Tree::load(root)?;
    let complaints = complaints(&tree);
    for complaint in &complaints {
        writeln!(out, "{complaint}")?;
    }
    writeln!(out, "{} files, {} complaints", tree.files().count(), complaints.len())?;
    Ok(complaints.is_empty())
}

fn complaints(tree: &Tree) -> Vec<Complaint> {
    let rules = [manifests::check, code::check, links::check, words::check];
    let mut complaints: Vec<_> = rules.iter().flat_map(|rule| rule(tree)).collect();
    complaints.sort();
    complaints
}

#[cfg(test)]
mod tests {
    use super::tree::{made_up, made_up_dir};
    use super::*;

    #[test]
    fn tree_in_order_has_no_complaints() {
        let tree = made_up(&[
            ("Cargo.toml", "lints.workspace = true\n[package]\nname = 'pubsub'\n"),
            ("src/lib.rs", "//! The idea.\n"),
            ("README.md", "# Read me\n"),
        ]);
        assert_eq!(complaints(&tree), []);
    }

    #[test]
    fn every_rule_is_asked() {
        let tree = made_up(&[
            ("Cargo.toml", "[package]\nname = 'pubsub'\n"),
            ("src/lib.rs", "fn f() {}\n"),
            ("README.md", "[gone](gone.md)\n"),
            ("notes.txt", concat!("see /", "work/main\n")),
        ]);
        let paths: Vec<_> = complaints(&tree).into_iter().map(|complaint| complaint.path).collect();
        assert_eq!(paths, ["Cargo.toml", "README.md", "notes.txt", "src/lib.rs"]);
    }

    #[test]
    fn tree_with_a_complaint_is_not_in_order() {
        let mut out = Vec::new();
        assert!(run(made_up_dir(&[("a.md", "")]).path(), &mut out).unwrap());
        assert!(!run(made_up_dir(&[("a.md", "[b](b.md)")]).path(), &mut out).unwrap());
        let said = String::from_utf8(out).unwrap();
        assert!(said.contains("a.md:1: b.md: there is no b.md"), "{said}");
    }

    #[test]
    fn complaint_can_be_jumped_to() {
        let complaint = Complaint::new("src/lib.rs", 7, "no");
        assert_eq!(complaint.to_string(), "src/lib.rs:7: no");
        assert_eq!(Complaint::new("Cargo.toml", 0, "no").to_string(), "Cargo.toml: no");
    }
}
