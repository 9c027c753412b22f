//! Who may know whom, and what every package says alike.
//!
//! ```text
//!   types ◀── envelope ◀── storage ──▶ disk          config ──▶ types ◀── messenger ──▶ envelope
//!                             ▲                          ▲                    ▲
//!                             ╰──────────── node ────────┴────────────────────╯
//!                                             ▲
//!                              cli ──▶ root ──╯        sim, testkit, xtask: shipped by nobody
//! ```

use toml::{Table, Value};

use super::Complaint;
use super::tree::Tree;

/// What a package may depend on, of ours.
struct Package {
    name: &'static str,
    knows: &'static [&'static str],
}

/// The arrows. A package that is new gets its line here, and a thought.
const PACKAGES: [Package; 18] = [
    Package { name: "pubsub-types", knows: &[] },
    Package { name: "pubsub-envelope", knows: &["pubsub-types"] },
    Package { name: "pubsub-disk", knows: &[] },
    Package { name: "pubsub-storage", knows: &["pubsub-disk", "pubsub-envelope", "pubsub-types"] },
    Package { name: "pubsub-config", knows: &["pubsub-types"] },
    Package { name: "pubsub-messenger", knows: &["pubsub-envelope", "pubsub-types"] },
    Package { name: "pubsub-interest", knows: &["pubsub-types"] },
    Package { name: "pubsub-federation", knows: &["pubsub-envelope", "pubsub-types"] },
    Package { name: "pubsub-nats", knows: &["pubsub-types"] },
    Package { name: "pubsub-tls", knows: &[] },
    Package { name: "pubsub-audit", knows: &["pubsub-disk", "pubsub-types"] },
    Package { name: "pubsub-keys", knows: &["pubsub-config", "pubsub-tls"] },
    Package {
        name: "pubsub-node",
        knows: &[
            "pubsub-audit",
            "pubsub-config",
            "pubsub-disk",
            "pubsub-envelope",
            "pubsub-federation",
            "pubsub-messenger",
            "pubsub-storage",
            "pubsub-tls",
            "pubsub-types",
        ],
    },
    Package {
        name: "pubsub",
        knows: &[
            "pubsub-config",
            "pubsub-envelope",
            "pubsub-federation",
            "pubsub-messenger",
            "pubsub-node",
            "pubsub-storage",
            "pubsub-types",
        ],
    },
    Package {
        name: "pubsub-cli",
        knows: &[
            "pubsub",
            "pubsub-audit",
            "pubsub-config",
            "pubsub-disk",
            "pubsub-envelope",
            "pubsub-messenger",
            "pubsub-node",
            "pubsub-storage",
            "pubsub-tls",
            "pubsub-types",
        ],
    },
    Package {
        name: "pubsub-sim",
        knows: &[
            "pubsub-disk",
            "pubsub-envelope",
            "pubsub-federation",
            "pubsub-messenger",
            "pubsub-storage",
            "pubsub-types",
        ],
    },
    Package { name: "pubsub-testkit", knows: &[] },
    Package { name: "xtask", knows: &["pubsub-testkit"] },
];

/// What any package's tests may use besides.
const FOR_TESTS: [&str; 2] = ["pubsub-sim", "pubsub-testkit"];

/// Packages whose code decides: no runtime, no sockets, no randomness of the system's.
pub(super) const MACHINES: [&str; 8] = [
    "pubsub-types",
    "pubsub-envelope",
    "pubsub-messenger",
    "pubsub-config",
    "pubsub-storage",
    "pubsub-federation",
    "pubsub-interest",
    "pubsub-nats",
];

/// What would bring them a clock, a socket or a thread.
const NOT_FOR_MACHINES: [&str; 8] =
    ["tokio", "tokio-util", "mio", "socket2", "notify", "rustix", "libc", "async-std"];

pub(super) fn check(tree: &Tree) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    for (path, text) in manifests(tree) {
        match text.parse::<Table>() {
            Ok(manifest) => check_one(path, &manifest, &mut complaints),
            Err(error) => complaints.push(Complaint::new(path, 0, error.message())),
        }
    }
    complaints
}

/// The name of the package whose files are in a directory.
pub(super) fn package_in(tree: &Tree, dir: &str) -> Option<String> {
    let manifest: Table = tree.text(&format!("{dir}Cargo.toml"))?.parse().ok()?;
    Some(manifest.get("package")?.get("name")?.as_str()?.to_owned())
}

/// The manifests of the workspace: not those of test data, nor of workspaces inside this one.
fn manifests(tree: &Tree) -> impl Iterator<Item = (&str, &str)> {
    tree.texts_ending("Cargo.toml").filter(|(path, text)| {
        let is_inner = *path != "Cargo.toml" && text.contains("[workspace]");
        let is_data = path.split('/').any(|part| part == "testdata");
        path.rsplit('/').next() == Some("Cargo.toml") && !is_inner && !is_data
    })
}

fn check_one(path: &str, manifest: &Table, complaints: &mut Vec<Complaint>) {
    let mut complain = |what: String| complaints.push(Complaint::new(path, 0, what));
    let Some(name) = lookup(manifest, &["package", "name"]).and_then(Value::as_str) else {
        if !manifest.contains_key("workspace") {
            complain("names no package".to_owned());
        }
        return;
    };
    if lookup(manifest, &["lints", "workspace"]) != Some(&Value::Boolean(true)) {
        complain("does not inherit the lints: add `[lints] workspace = true`".to_owned());
    }
    let Some(package) = PACKAGES.iter().find(|package| package.name == name) else {
        complain(format!("{name} has no arrows yet: say in xtask's tidy what it may know"));
        return;
    };
    for (section, dependency, how) in dependencies(manifest) {
        if let Some(what) = wrong_version(how) {
            complain(format!("{dependency} {what}: that belongs in [workspace.dependencies]"));
        }
        let for_tests = section == "dev-dependencies" && FOR_TESTS.contains(&dependency);
        let ours = PACKAGES.iter().any(|package| package.name == dependency);
        if ours && !for_tests && !package.knows.contains(&dependency) {
            complain(format!("{name} must not know {dependency}, but has it in [{section}]"));
        }
        let shipped = section != "dev-dependencies";
        if shipped && MACHINES.contains(&name) && NOT_FOR_MACHINES.contains(&dependency) {
            complain(format!("{name} decides, and must not reach the world through {dependency}"));
        }
    }
}

/// What a package says of a dependency that the workspace should say.
fn wrong_version(how: &Value) -> Option<&'static str> {
    let inherits = how.get("workspace") == Some(&Value::Boolean(true));
    let own = ["version", "path", "git", "registry"].iter().any(|key| how.get(key).is_some());
    (!inherits || own).then_some("does not just inherit its version")
}

/// Section, name and value of all dependencies, those for some platforms only among them.
fn dependencies(manifest: &Table) -> impl Iterator<Item = (&'static str, &str, &Value)> {
    let platforms = manifest.get("target").and_then(Value::as_table).into_iter().flatten();
    let tables = platforms.filter_map(|(_, platform)| platform.as_table());
    std::iter::once(manifest).chain(tables).flat_map(|table| {
        ["dependencies", "dev-dependencies", "build-dependencies"].into_iter().flat_map(
            move |section| {
                let entries = table.get(section).and_then(Value::as_table).into_iter().flatten();
                entries.map(move |(name, how)| (section, name.as_str(), how))
            },
        )
    })
}

fn lookup<'a>(table: &'a Table, keys: &[&str]) -> Option<&'a Value> {
    let (first, rest) = keys.split_first()?;
    rest.iter().try_fold(table.get(*first)?, |value, key| value.get(key))
}

#[cfg(test)]
mod tests {
    use super::super::tree::made_up;
    use super::*;

    /// What is said of one manifest.
    fn said(name: &str, rest: &str) -> String {
        let manifest = format!("lints.workspace = true\n[package]\nname = '{name}'\n{rest}");
        let complaints = check(&made_up(&[("internal/x/Cargo.toml", &manifest)]));
        complaints.iter().map(|complaint| format!("{complaint}\n")).collect()
    }

    #[test]
    fn arrows_point_one_way() {
        let knows = |name, other| {
            said(name, &format!("[dependencies]\n{other}.workspace = true\n")).is_empty()
        };
        assert!(knows("pubsub-envelope", "pubsub-types"));
        assert!(!knows("pubsub-types", "pubsub-envelope"));
        assert!(knows("pubsub-storage", "pubsub-disk"));
        assert!(!knows("pubsub-messenger", "pubsub-storage"));
        assert!(!knows("pubsub-config", "pubsub-messenger"));
        assert!(knows("pubsub", "pubsub-node"));
        assert!(!knows("pubsub-node", "pubsub"));
    }

    #[test]
    fn no_arrow_comes_back() {
        for package in &PACKAGES {
            for other in package.knows {
                let other = PACKAGES.iter().find(|package| package.name == *other).unwrap();
                assert!(
                    !other.knows.contains(&package.name),
                    "{} and {}",
                    package.name,
                    other.name
                );
            }
        }
    }

    #[test]
    fn nothing_shipped_depends_on_the_simulator_or_the_testkit_or_the_chores() {
        for name in ["pubsub-sim", "pubsub-testkit", "xtask"] {
            let line = format!("[dependencies]\n{name}.workspace = true\n");
            assert!(said("pubsub-node", &line).contains(name), "{name}");
            let line =
                format!("[target.'cfg(unix)'.build-dependencies]\n{name}.workspace = true\n");
            assert!(said("pubsub-node", &line).contains(name), "{name}");
        }
        let line =
            "[dev-dependencies]\npubsub-sim.workspace = true\npubsub-testkit.workspace = true\n";
        assert_eq!(said("pubsub-node", line), "");
        assert_ne!(said("pubsub-node", "[dev-dependencies]\nxtask.workspace = true\n"), "");
    }

    #[test]
    fn machines_have_no_runtime_but_their_tests_may() {
        let tokio =
            |section| said("pubsub-storage", &format!("[{section}]\ntokio.workspace = true\n"));
        assert!(tokio("dependencies").contains("tokio"));
        assert_eq!(tokio("dev-dependencies"), "");
        assert_eq!(said("pubsub-node", "[dependencies]\ntokio.workspace = true\n"), "");
    }

    #[test]
    fn versions_are_said_once() {
        for how in
            ["'1'", "{ version = '1' }", "{ path = '../y' }", "{ workspace = true, version = '1' }"]
        {
            let said = said("pubsub-node", &format!("[dependencies]\nserde = {how}\n"));
            assert!(said.contains("serde"), "{how}");
        }
        let feature = "[dependencies]\nserde = { workspace = true, features = ['rc'] }\n";
        assert_eq!(said("pubsub-node", feature), "");
    }

    #[test]
    fn lints_are_inherited() {
        let tree = made_up(&[("internal/x/Cargo.toml", "[package]\nname = 'pubsub-node'\n")]);
        assert!(check(&tree)[0].what.contains("lints"));
    }

    #[test]
    fn package_without_arrows_is_refused() {
        assert!(said("pubsub-new", "").contains("no arrows yet"));
    }

    #[test]
    fn manifest_that_cannot_be_read_is_refused() {
        let tree = made_up(&[("internal/x/Cargo.toml", "[package\n")]);
        assert_eq!(check(&tree).len(), 1);
    }

    #[test]
    fn workspaces_inside_and_test_data_go_their_own_way() {
        let tree = made_up(&[
            ("fuzz/Cargo.toml", "[workspace]\n[package]\nname = 'fuzz'\n"),
            ("testdata/x/Cargo.toml", "[package]\nname = 'x'\n"),
        ]);
        assert_eq!(check(&tree), []);
    }
}
