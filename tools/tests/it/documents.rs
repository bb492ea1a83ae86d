//! Documents do not drift: what they name exists.

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// What stands in backticks and looks like a path of this repository.
fn paths(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2).filter(|quoted| {
        let is_path = quoted.chars().all(|c| c.is_ascii_alphanumeric() || "/._-".contains(c));
        is_path && quoted.contains('/') && (quoted.ends_with('/') || quoted.contains('.'))
    })
}

#[test]
fn files_that_documents_name_exist() {
    for document in ["README.md", "ARCHITECTURE.md"] {
        let text = fs::read_to_string(root().join(document)).unwrap();
        let missing: Vec<_> = paths(&text)
            .filter(|path| !path.starts_with("compiled/") && !root().join(path).exists())
            .collect();
        assert!(paths(&text).count() > 5, "{document} names files");
        assert!(missing.is_empty(), "{document} names files that do not exist: {missing:?}");
    }
}

#[test]
fn every_crate_has_a_readme_and_is_in_the_crate_table() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let members = manifest.split_once("members = [").unwrap().1.split_once(']').unwrap().0;
    let table = fs::read_to_string(root().join("README.md")).unwrap();
    for member in members.split('"').skip(1).step_by(2) {
        assert!(root().join(member).join("README.md").exists(), "{member} has no README.md");
        assert!(table.contains(&format!("`{member}/`")), "{member} is not in the crate table");
    }
}
