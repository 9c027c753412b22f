//! Links between documents lead somewhere: to a file or directory of the tree, and to a heading that
//! is in it.

use std::collections::BTreeMap;

use super::Complaint;
use super::tree::Tree;

pub(super) fn check(tree: &Tree) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    for (path, text) in tree.texts_ending(".md") {
        for (line, target) in links(text) {
            if let Some(what) = broken(tree, path, &target) {
                complaints.push(Complaint::new(path, line, format!("{target}: {what}")));
            }
        }
    }
    complaints
}

/// Why a link leads nowhere.
fn broken(tree: &Tree, from: &str, target: &str) -> Option<String> {
    if ["http://", "https://", "mailto:"].iter().any(|scheme| target.starts_with(scheme)) {
        return None;
    }
    let (file, heading) = target.split_once('#').unwrap_or((target, ""));
    let path = match file {
        "" => from.to_owned(),
        _ => match beneath(from, file) {
            Some(path) => path,
            None => {
                return Some("leads out of the tree; write it relative to this file".to_owned());
            }
        },
    };
    if !tree.has(&path) {
        return Some(format!("there is no {path}"));
    }
    let text = tree.text(&path).unwrap_or_default();
    let missing = !heading.is_empty() && !headings(text).iter().any(|slug| slug == heading);
    missing.then(|| format!("{path} has no heading #{heading}"))
}

/// The path that a link in the file `from` leads to, beneath the root.
fn beneath(from: &str, link: &str) -> Option<String> {
    if link.starts_with('/') {
        return None;
    }
    let mut parts: Vec<_> = from.split('/').collect();
    parts.pop();
    for part in link.split('/') {
        match part {
            "" | "." => (),
            ".." => _ = parts.pop()?,
            name => parts.push(name),
        }
    }
    Some(parts.join("/"))
}

/// Lines and targets of the links in a document: `[text](target)`, and `[label]: target`.
fn links(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (number, line) in prose(text) {
        let line = without_code(line);
        for (at, _) in line.match_indices("](") {
            let rest = &line[at + 2..];
            if let Some(inside) = rest.find(')').map(|end| &rest[..end]) {
                found.extend(inside.split_whitespace().next().map(|to| (number, to.to_owned())));
            }
        }
        let definition = line.strip_prefix('[').and_then(|rest| rest.split_once("]: "));
        if let Some((_, rest)) = definition {
            found.extend(rest.split_whitespace().next().map(|to| (number, to.to_owned())));
        }
    }
    found
}

/// The names of the headings, as they are linked to: lower case, hyphens for spaces, no other signs,
/// and a number for those that came before.
fn headings(text: &str) -> Vec<String> {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let titles = prose(text).into_iter().filter_map(|(_, line)| {
        let title = line.trim_start_matches('#');
        (title.len() < line.len()).then(|| title.strip_prefix(' '))?
    });
    let mut slugs = Vec::new();
    for title in titles {
        let slug: String = title
            .trim()
            .to_lowercase()
            .chars()
            .filter(|letter| letter.is_alphanumeric() || " -_".contains(*letter))
            .map(|letter| if letter == ' ' { '-' } else { letter })
            .collect();
        let times = seen.entry(slug.clone()).or_default();
        slugs.push(if *times == 0 { slug } else { format!("{slug}-{times}") });
        *times += 1;
    }
    slugs
}

/// The lines that are not in a fenced block, with their numbers from 1.
fn prose(text: &str) -> Vec<(usize, &str)> {
    let mut fence = None;
    let mut lines = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let start = line.trim_start();
        let mark = ["```", "~~~"].into_iter().find(|mark| start.starts_with(mark));
        match (fence, mark) {
            (None, Some(mark)) => fence = Some(mark),
            (Some(open), Some(mark)) if open == mark => fence = None,
            (Some(_), _) => (),
            (None, None) => lines.push((number, line)),
        }
    }
    lines
}

/// The line with what is between backticks taken out.
fn without_code(line: &str) -> String {
    line.split('`').step_by(2).collect::<Vec<_>>().join("`")
}

#[cfg(test)]
mod tests {
    use super::super::tree::made_up;
    use super::*;

    fn said(link: &str) -> String {
        let tree = made_up(&[
            ("docs/a.md", link),
            ("docs/b.md", "# Bird's eye: `x` & y\n## Same\n## Same\n```text\n# no heading\n```\n"),
            ("README.md", ""),
            ("internal/disk/src/lib.rs", ""),
        ]);
        check(&tree).iter().map(|complaint| format!("{complaint}\n")).collect()
    }

    #[test]
    fn link_to_a_file_or_directory_of_the_tree_is_fine() {
        for link in
            ["[x](b.md)", "[x](../README.md)", "[x](../internal/disk)", "[x](./b.md 'title')"]
        {
            assert_eq!(said(link), "", "{link}");
        }
    }

    #[test]
    fn link_that_leads_nowhere_is_refused_with_its_line() {
        assert_eq!(said("\nsee [x](c.md)"), "docs/a.md:2: c.md: there is no docs/c.md\n");
        for link in
            ["[x](/README.md)", "[x](../../README.md)", "[b.md]: c.md", "[a](b.md) [b](c.md)"]
        {
            assert_ne!(said(link), "", "{link}");
        }
    }

    #[test]
    fn heading_must_be_in_the_document() {
        for link in ["[x](b.md#birds-eye-x--y)", "[x](b.md#same)", "[x](b.md#same-1)"] {
            assert_eq!(said(link), "", "{link}");
        }
        for link in ["[x](b.md#same-2)", "[x](b.md#no-heading)", "[x](#same)"] {
            assert_ne!(said(link), "", "{link}");
        }
        assert_eq!(said("# Here\n[x](#here)"), "");
    }

    #[test]
    fn code_has_no_links() {
        assert_eq!(said("`[x](c.md)`\n```text\n[x](c.md)\n```\n"), "");
        assert_ne!(said("`a` [x](c.md) `b`"), "");
        assert_ne!(said("```text\n~~~\n```\n[x](c.md)"), "");
    }

    #[test]
    fn other_hosts_are_not_asked() {
        assert_eq!(said("[x](https://example.com/c.md) [y](mailto:a@example.com)"), "");
    }
}
