//! Promise 8: "What cannot be read is reported, not assumed."

use std::fs;

use tempfile::TempDir;

use super::*;

struct Host {
    root: TempDir,
}

impl Host {
    fn with(text: &str) -> Self {
        let root = TempDir::new().unwrap();
        fs::create_dir_all(root.path().join("etc/nix")).unwrap();
        let host = Self { root };
        host.file("nix.conf", text);
        host
    }

    fn file(&self, name: &str, text: &str) {
        fs::write(self.root.path().join("etc/nix").join(name), text).unwrap();
    }

    fn read(&self) -> Result<NixConf> {
        NixConf::read(&Layout::new(self.root.path()))
    }
}

#[test]
fn a_host_without_a_file_has_the_defaults_of_nix() {
    let root = TempDir::new().unwrap();
    let conf = NixConf::read(&Layout::new(root.path())).unwrap();
    assert_eq!(conf, NixConf::default());
    assert!(conf.keep_derivations && !conf.keep_outputs);
}

#[test]
fn old_and_new_names_of_a_setting_are_the_same_setting_and_the_last_one_counts() {
    let conf = Host::with(
        "# a comment\ngc-keep-outputs = true # yes\nkeep-outputs = false\n\tgc-keep-derivations=x = y\nkeep-derivations = no\n",
    );
    let conf = conf.read().unwrap();
    assert!(!conf.keep_outputs && !conf.keep_derivations);
}

#[test]
fn extra_adds_to_the_substituters_that_are_set_by_then() {
    let conf = Host::with(
        "extra-substituters = https://lost\nsubstituters = https://a https://b\nextra-binary-caches = https://c\n",
    );
    let expected = ["https://a", "https://b", "https://c"];
    assert_eq!(conf.read().unwrap().substituters, expected);
    let conf = Host::with("extra-substituters = https://a").read().unwrap();
    assert_eq!(conf.substituters, ["https://cache.nixos.org/", "https://a"]);
}

#[test]
fn a_build_group_set_to_nothing_is_none() {
    let conf = Host::with("build-users-group =\n").read().unwrap();
    assert_eq!(conf.build_users_group, None);
}

#[test]
fn user_ids_are_allocated_only_with_the_experimental_feature() {
    let off = Host::with("auto-allocate-uids = true\n").read().unwrap();
    assert_eq!(off.auto_allocate_uids, None);
    let on = Host::with(
        "extra-experimental-features = nix-command auto-allocate-uids\nauto-allocate-uids = true\nid-count = 256K\n",
    );
    let range = UidRange {
        start: 872_415_232,
        count: 262_144,
    };
    assert_eq!(on.read().unwrap().auto_allocate_uids, Some(range));
}

#[test]
fn an_included_file_counts_where_it_is_included() {
    let host = Host::with("keep-outputs = false\ninclude more.conf\n!include none.conf\n");
    host.file("more.conf", "keep-outputs = true\n");
    assert!(host.read().unwrap().keep_outputs);
}

#[test]
fn the_files_of_root_count_after_that_of_the_host_also_where_that_is_missing() {
    let host = Host::with("keep-outputs = true\nextra-substituters = https://a\n");
    let write = |file: &str, text: &str| {
        let file = host.root.path().join(file);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    };
    write(
        "etc/xdg/nix/nix.conf",
        "keep-outputs = false\nkeep-derivations = false\n",
    );
    write(
        "root/.config/nix/nix.conf",
        "keep-derivations = true\nextra-substituters = https://b\n",
    );
    let conf = host.read().unwrap();
    assert!(!conf.keep_outputs && conf.keep_derivations);
    assert_eq!(conf.substituters[1..], ["https://a", "https://b"]);
    fs::remove_file(host.root.path().join("etc/nix/nix.conf")).unwrap();
    let conf = host.read().unwrap();
    assert_eq!(conf.substituters[1..], ["https://b"]);
}

#[test]
fn an_included_file_that_cannot_be_read_is_passed_over_as_by_nix_and_named() {
    for word in ["include", "!include"] {
        let host = Host::with(&format!("{word} tokens\nkeep-outputs = true\n"));
        // A directory cannot be read by root either.
        let tokens = host.root.path().join("etc/nix/tokens");
        fs::create_dir(&tokens).unwrap();
        let conf = host.read().unwrap();
        assert!(conf.keep_outputs);
        assert_eq!(conf.unread_files, [tokens]);
    }
}

#[test]
fn an_error_within_an_included_file_is_not_passed_over() {
    let host = Host::with("!include more.conf\n");
    host.file("more.conf", "keep-outputs = maybe\n");
    let error = host.read().unwrap_err();
    assert!(error.path.ends_with("more.conf"), "{error}");
    fs::write(host.root.path().join("etc/nix/more.conf"), [0xff]).unwrap();
    assert_eq!(host.read().unwrap_err().kind, Kind::Malformed);
}

#[test]
fn a_missing_include_is_an_error_with_file_and_line() {
    let error = Host::with("\ninclude none.conf\n").read().unwrap_err();
    assert_eq!(error.kind, Kind::Malformed);
    assert!(error.to_string().contains("line 2"), "{error}");
    assert!(error.to_string().contains("none.conf"), "{error}");
}

#[test]
fn files_that_include_each_other_are_an_error() {
    let host = Host::with("include a.conf\n");
    host.file("a.conf", "include nix.conf\n");
    assert_eq!(host.read().unwrap_err().kind, Kind::Malformed);
}

#[test]
fn a_boolean_that_is_none_is_an_error_with_file_and_line() {
    let error = Host::with("keep-outputs = true\nkeep-derivations = maybe\n")
        .read()
        .unwrap_err();
    let text = error.to_string();
    assert!(text.contains("nix.conf") && text.contains("line 2") && text.contains("maybe"));
}

#[test]
fn a_line_that_is_no_setting_is_an_error_with_its_number() {
    let error = Host::with("keep-outputs true\n").read().unwrap_err();
    assert!(error.to_string().contains("line 1"), "{error}");
}

#[test]
fn a_file_that_cannot_be_read_is_not_taken_for_the_defaults() {
    let host = Host::with("");
    let path = host.root.path().join("etc/nix/nix.conf");
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    let error = host.read().unwrap_err();
    assert_eq!(error.path, path);
    assert!(host.read().is_err());
}
