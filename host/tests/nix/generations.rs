//! Promise 1 needs generations told apart: number, target and which is current, as
//! `nix-env --list-generations` has them, which waits for a lock and this does not.

use snowguard_host::{Profile, Profiles};

use crate::{lab, private::Host};

struct Case {
    host: Host,
    link: String,
}

impl Case {
    fn new(nix: lab::Nix) -> Self {
        let host = Host::new(nix, "");
        Self {
            host,
            link: "/nix/var/nix/profiles/test".to_owned(),
        }
    }

    fn env(&self, args: &[&str]) -> String {
        let args = [&["-p", self.link.as_str()], args].concat();
        self.host.run("nix-env", &args)
    }

    fn set(&self, content: &str) -> String {
        let file = self.host.path("root/content");
        std::fs::write(&file, content).unwrap();
        let path = self
            .host
            .run("nix-store", &["--add", file.to_str().unwrap()]);
        self.env(&["--set", &path]);
        path
    }

    fn read(&self) -> Profile {
        let profiles = Profiles::read(&self.host.layout()).unwrap();
        assert!(profiles.unreadable.is_empty());
        profiles.get("test").unwrap().clone()
    }

    /// Numbers of all generations, and that of the current one.
    fn as_nix_lists_them(&self) -> (Vec<u64>, Option<u64>) {
        let list = self.env(&["--list-generations"]);
        let number = |line: &str| line.split_whitespace().next().unwrap().parse().unwrap();
        let current = list.lines().find(|line| line.contains("(current)"));
        (list.lines().map(number).collect(), current.map(number))
    }

    fn agrees(&self) {
        let profile = self.read();
        let numbers = profile.generations.iter().map(|g| g.id.number).collect();
        assert_eq!((numbers, profile.current), self.as_nix_lists_them());
    }
}

#[test]
fn generations_are_those_that_nix_lists_after_every_kind_of_change() {
    for nix in lab::all_nix() {
        let case = Case::new(nix);
        let first = case.set("1");
        case.agrees();
        for content in ["2", "3", "4"] {
            case.set(content);
        }
        case.agrees();
        case.env(&["--rollback"]);
        case.agrees();
        assert_eq!(case.read().current, Some(3));
        case.env(&["--switch-generation", "1"]);
        assert_eq!(
            case.read().current_generation().unwrap().id.target.to_str(),
            Some(&*first)
        );
        case.env(&["--delete-generations", "2"]);
        case.agrees();
        case.set("5");
        case.agrees();
        assert!(case.read().generations.iter().all(|g| g.valid));
    }
}

#[test]
fn a_number_that_nix_uses_again_is_another_generation() {
    for nix in lab::all_nix() {
        let case = Case::new(nix);
        case.set("1");
        case.set("2");
        let bad = case.read().generation(2).unwrap().id.clone();
        case.env(&["--rollback"]);
        case.env(&["--delete-generations", "old"]);
        case.set("3");
        let again = case.read().generation(2).unwrap().id.clone();
        assert_eq!(again.number, bad.number);
        assert_ne!(again, bad);
        case.agrees();
    }
}

#[test]
fn a_profile_that_nix_holds_the_lock_of_is_read_without_waiting() {
    let case = Case::new(lab::nix("bookworm"));
    case.set("1");
    let lock = std::fs::File::create(case.host.path("nix/var/nix/profiles/test.lock")).unwrap();
    lock.lock().unwrap();
    assert_eq!(case.read().current, Some(1));
}
