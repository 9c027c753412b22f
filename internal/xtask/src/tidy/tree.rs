//! The files of the workspace, read once.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::Context;

/// Directories that hold nothing of ours, wherever they are.
const FOREIGN: [&str; 4] = [".git", "target", "node_modules", "corpus"];

/// Directories of the root that are made by running the product.
const MADE: [&str; 1] = ["data"];

/// The files beneath a root.
#[derive(Debug, Default)]
pub(super) struct Tree {
    /// Path beneath the root, with `/` → text; none when it is not UTF-8.
    files: BTreeMap<String, Option<String>>,
}

impl Tree {
    pub(super) fn load(root: &Path) -> anyhow::Result<Self> {
        let mut tree = Self::default();
        tree.load_dir(root, "")?;
        Ok(tree)
    }

    fn load_dir(&mut self, root: &Path, beneath: &str) -> anyhow::Result<()> {
        let dir = root.join(beneath);
        let entries = fs::read_dir(&dir).with_context(|| format!("list {}", dir.display()))?;
        for entry in entries {
            let entry = entry.with_context(|| format!("list {}", dir.display()))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = format!("{beneath}{name}");
            let kind = entry.file_type().with_context(|| format!("look at {path}"))?;
            if kind.is_dir() {
                let skipped = FOREIGN.contains(&name.as_str()) || MADE.contains(&path.as_str());
                if !skipped {
                    self.load_dir(root, &format!("{path}/"))?;
                }
            } else if kind.is_file() {
                let bytes = fs::read(entry.path()).with_context(|| format!("read {path}"))?;
                self.files.insert(path, String::from_utf8(bytes).ok());
            }
        }
        Ok(())
    }

    /// All files, binary ones too.
    pub(super) fn files(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(String::as_str)
    }

    /// All that is text, with its text.
    pub(super) fn texts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files.iter().filter_map(|(path, text)| Some((path.as_str(), text.as_deref()?)))
    }

    /// The texts whose names end so.
    pub(super) fn texts_ending<'a>(
        &'a self,
        end: &'a str,
    ) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.texts().filter(move |(path, _)| path.ends_with(end))
    }

    /// The text of a file.
    pub(super) fn text(&self, path: &str) -> Option<&str> {
        self.files.get(path)?.as_deref()
    }

    /// Whether there is a file or a directory of this name. The empty one is the root.
    pub(super) fn has(&self, path: &str) -> bool {
        let dir = format!("{path}/");
        path.is_empty()
            || self.files.contains_key(path)
            || self
                .files
                .range(dir.clone()..)
                .next()
                .is_some_and(|(first, _)| first.starts_with(&dir))
    }
}

/// A tree of these files, written to a directory and read back.
#[cfg(test)]
pub(super) fn made_up(files: &[(&str, &str)]) -> Tree {
    Tree::load(made_up_dir(files).path()).unwrap()
}

/// A directory with these files.
#[cfg(test)]
pub(super) fn made_up_dir(files: &[(&str, &str)]) -> tempfile::TempDir {
    use std::io::Write;

    let dir = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let mut file = fs::OpenOptions::new().write(true).create_new(true).open(path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }
    dir
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_built_or_made_is_not_ours() {
        let tree = made_up(&[
            ("src/lib.rs", ""),
            ("src/data/mod.rs", ""),
            ("target/debug/x", ""),
            ("fuzz/target/x", ""),
            ("data/channels/x", ""),
            (".ci/run", ""),
        ]);
        let files: Vec<_> = tree.files().collect();
        assert_eq!(files, [".ci/run", "src/data/mod.rs", "src/lib.rs"]);
    }

    #[test]
    fn directories_are_there_when_something_is_in_them() {
        let tree = made_up(&[("docs/a.md", ""), ("docs-old.md", "")]);
        assert!(tree.has("docs") && tree.has("docs/a.md") && tree.has(""));
        assert!(!tree.has("doc") && !tree.has("docs/b.md") && !tree.has("docs-old"));
    }
}
