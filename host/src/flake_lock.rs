//! How old the inputs of a flake are: `flake.lock` (`libflake/lockfile.cc`, versions 5 to 7).

use std::{
    collections::BTreeMap,
    fs, io,
    path::Path,
    time::{Duration, SystemTime},
};

use serde::Deserialize;

use crate::{FactError, Layout, Result};

const ATTEMPT: &str = "read the inputs of the system's flake";
const CURE: &str = "run `nix flake lock` there, or name the file of the system's flake in \
                    `exporter.flake_lock`";

/// A file larger than this is none that Nix wrote.
const MAX_BYTES: u64 = 16 << 20;

/// The inputs that the flake itself names, each with when what it is locked to was last changed.
/// `None` if what it is locked to does not say, as a file or a path may not.
pub type FlakeInputs = BTreeMap<String, Option<SystemTime>>;

#[derive(Deserialize)]
struct LockFile {
    version: u32,
    root: String,
    nodes: BTreeMap<String, Node>,
}

#[derive(Deserialize)]
struct Node {
    #[serde(default)]
    inputs: BTreeMap<String, Edge>,
    locked: Option<Locked>,
}

/// The name of a node, or a path through the inputs from the root on (`follows`).
#[derive(Deserialize)]
#[serde(untagged)]
enum Edge {
    Node(String),
    Follows(Vec<String>),
}

#[derive(Deserialize)]
struct Locked {
    #[serde(rename = "lastModified")]
    last_modified: Option<u64>,
}

/// Reads the file at a path of the host. `None` if there is none.
///
/// # Errors
/// If it cannot be read, or is not a lock file of a version that is known.
pub fn flake_inputs(layout: &Layout, file: &Path) -> Result<Option<FlakeInputs>> {
    let path = layout.inside(file);
    let meta = match fs::metadata(&path) {
        Ok(meta) => meta,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(FactError::io(ATTEMPT, path, &e, "make it readable")),
    };
    let malformed = |cause: String| FactError::malformed(ATTEMPT, &path, cause, CURE);
    if !meta.is_file() || meta.len() > MAX_BYTES {
        return Err(malformed("not a lock file".to_owned()));
    }
    let text = fs::read(&path)
        .map_err(|e| FactError::io(ATTEMPT, &path, &e, "make it readable to this user"))?;
    let lock: LockFile =
        serde_json::from_slice(&text).map_err(|error| malformed(error.to_string()))?;
    if !(5..=7).contains(&lock.version) {
        return Err(malformed(format!("version {} is not known", lock.version)));
    }
    lock.inputs().map(Some).map_err(malformed)
}

impl LockFile {
    fn inputs(&self) -> std::result::Result<FlakeInputs, String> {
        let root = self.node(&self.root)?;
        let input = |(name, edge): (&String, &Edge)| {
            let node = self.node(self.resolve(edge, self.nodes.len())?)?;
            let seconds = node.locked.as_ref().and_then(|l| l.last_modified);
            let at =
                seconds.and_then(|s| SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(s)));
            Ok((name.clone(), at))
        };
        root.inputs.iter().map(input).collect()
    }

    fn node(&self, name: &str) -> std::result::Result<&Node, String> {
        let found = self.nodes.get(name);
        found.ok_or_else(|| format!("it has no node {name:?}"))
    }

    /// The node that an input leads to. One that follows another may follow a third; a file that
    /// Nix wrote has no circle, and `left` ends one.
    fn resolve<'a>(&'a self, edge: &'a Edge, left: usize) -> std::result::Result<&'a str, String> {
        let path = match edge {
            Edge::Node(name) => return Ok(name),
            Edge::Follows(path) => path,
        };
        let left = left.checked_sub(1).ok_or("its inputs follow in a circle")?;
        let mut at = self.root.as_str();
        for step in path {
            let next = self.node(at)?.inputs.get(step);
            let next = next.ok_or_else(|| format!("its node {at:?} has no input {step:?}"))?;
            at = self.resolve(next, left)?;
        }
        Ok(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Kind;

    fn read(text: &str) -> Result<Option<FlakeInputs>> {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("etc/nixos")).unwrap();
        fs::write(dir.path().join("etc/nixos/flake.lock"), text).unwrap();
        let layout = Layout::new(dir.path());
        flake_inputs(&layout, Path::new("/etc/nixos/flake.lock"))
    }

    fn lock(root: &str) -> String {
        format!(
            r#"{{"version": 7, "root": "root", "nodes": {{
                 "root": {{"inputs": {root}}},
                 "nixpkgs": {{"locked": {{"lastModified": 1700000000, "rev": "x"}}, "original": {{}}}},
                 "nixpkgs_2": {{"locked": {{"lastModified": 1600000000}}}},
                 "home": {{"inputs": {{"nixpkgs": ["nixpkgs"], "other": "nixpkgs_2"}},
                           "locked": {{"lastModified": 1500000000}}}},
                 "here": {{"locked": {{"path": "./x", "type": "path"}}}},
                 "a": {{"inputs": {{"b": ["a", "b"]}}}}}}}}"#
        )
    }

    #[test]
    fn only_what_the_flake_itself_names_is_an_input_of_it() {
        let text = lock(
            r#"{"nixpkgs": "nixpkgs", "home": "home", "here": "here", "same": ["home", "nixpkgs"]}"#,
        );
        let at = |s| Some(SystemTime::UNIX_EPOCH + Duration::from_secs(s));
        let expected = [
            ("here", None),
            ("home", at(1_500_000_000)),
            ("nixpkgs", at(1_700_000_000)),
            ("same", at(1_700_000_000)),
        ];
        let expected = expected.map(|(name, at)| (name.to_owned(), at)).into();
        assert_eq!(read(&text).unwrap(), Some(expected));
    }

    #[test]
    fn a_file_that_is_no_lock_file_is_named_with_its_fault() {
        for (text, fault) in [
            ("", "EOF"),
            ("[]", "invalid"),
            (r#"{"version": 8, "root": "r", "nodes": {}}"#, "version 8"),
            (r#"{"version": 7, "root": "r", "nodes": {}}"#, "no node"),
            (&lock(r#"{"x": "nowhere"}"#), "no node \"nowhere\""),
            (
                &lock(r#"{"home": "home", "x": ["home", "y"]}"#),
                "no input \"y\"",
            ),
            (&lock(r#"{"a": "a", "x": ["a", "b"]}"#), "circle"),
            (
                r#"{"version": 7, "root": "r", "nodes": {"r": {"locked": {"lastModified": -1}}}}"#,
                "invalid",
            ),
        ] {
            let error = read(text).unwrap_err();
            assert_eq!(error.kind, Kind::Malformed);
            assert!(error.to_string().contains(fault), "{text}: {error}");
        }
    }

    #[test]
    fn a_host_without_the_file_has_no_inputs_that_could_be_old() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path());
        assert_eq!(
            flake_inputs(&layout, Path::new("/etc/nixos/flake.lock")).unwrap(),
            None
        );
    }
}
