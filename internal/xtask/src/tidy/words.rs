//! Words that have no business in the project: paths of the machine it was made on, and hosts that
//! packages come from.
//!
//! They are written in pieces here, so that this file passes its own rule.

use super::Complaint;
use super::tree::Tree;

/// Beginnings of absolute paths.
const PATHS: [&str; 3] = [concat!("/", "work/"), concat!("/", "root/"), concat!("/", "home/user/")];

/// Words anywhere.
const WORDS: [&str; 7] = [
    concat!("crates", ".io"),
    concat!("pypi", ".org"),
    concat!("pythonhosted", ".org"),
    concat!("npmjs", "."),
    concat!("deb.", "debian.org"),
    concat!("shared/", "design"),
    concat!("shared/", "specs"),
];

/// Written by cargo, which names where each package came from.
const WRITTEN_BY_TOOLS: [&str; 1] = ["Cargo.lock"];

pub(super) fn check(tree: &Tree) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    for (path, text) in tree.texts() {
        let name = path.rsplit('/').next().unwrap_or(path);
        if WRITTEN_BY_TOOLS.contains(&name) {
            continue;
        }
        for (number, line) in (1..).zip(text.lines()) {
            let found = PATHS.iter().find(|start| has_path(line, start));
            if let Some(word) = found.or_else(|| WORDS.iter().find(|word| line.contains(*word))) {
                let what = format!("{word:?} is no word of this project");
                complaints.push(Complaint::new(path, number, what));
            }
        }
    }
    complaints
}

/// Whether a path begins so, and is not the end of a longer one.
fn has_path(line: &str, start: &str) -> bool {
    line.match_indices(start).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|letter| letter.is_alphanumeric() || "._-/~*>})".contains(letter))
    })
}

#[cfg(test)]
mod tests {
    use super::super::tree::made_up;
    use super::*;

    fn is_refused(text: &str) -> bool {
        !check(&made_up(&[("docs/x.md", text)])).is_empty()
    }

    #[test]
    fn path_of_the_builders_machine_is_refused() {
        assert!(is_refused(concat!("see /", "work/main")));
        assert!(is_refused(concat!("\"/", "root/.cargo\"")));
        assert!(!is_refused(concat!("tests/", "work/main.rs and https://a.b/", "work/x")));
    }

    #[test]
    fn hosts_of_packages_are_refused() {
        assert!(is_refused(concat!("https://crates", ".io/x")));
        assert!(!is_refused("a crate"));
    }

    #[test]
    fn complaint_names_the_line() {
        let tree = made_up(&[(".ci/run", concat!("one\ncd /", "work/x\n"))]);
        let complaints = check(&tree);
        assert_eq!((complaints[0].path.as_str(), complaints[0].line), (".ci/run", 2));
    }

    #[test]
    fn lock_file_says_where_packages_came_from() {
        assert_eq!(check(&made_up(&[("Cargo.lock", concat!("crates", ".io"))])), []);
    }
}
