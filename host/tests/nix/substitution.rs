//! Every newly registered path is classed by where it came from, with a real binary cache that
//! has some paths and not others.

use std::{
    collections::HashMap,
    fs,
    path::PathBuf,
    process::Stdio,
    time::{Duration, SystemTime},
};

use snowguard_host::{
    Kind, NixConf,
    provenance::{Added, Cursor, Look, MissedBy, Origin, Regret, Regrets, Tally, default_dir},
    store::Graph,
};

use crate::{http_cache::HttpCache, lab, private::Host};

const WITHOUT_USERS: &str = "build-users-group =\nextra-experimental-features = nix-command";

/// A host that publishes to a signed cache, and one that substitutes from it.
struct Case {
    elsewhere: Host,
    here: Host,
    cache: HttpCache,
}

impl Case {
    fn new(nix: lab::Nix) -> Self {
        let elsewhere = Host::new(nix.clone(), &format!("{WITHOUT_USERS}\nsubstitute = false"));
        let (secret, public) = (elsewhere.path("secret"), elsewhere.path("public"));
        let name = "test-1";
        let keys = [secret.to_str().unwrap(), public.to_str().unwrap()];
        elsewhere.run(
            "nix-store",
            &["--generate-binary-cache-key", name, keys[0], keys[1]],
        );
        let cache = HttpCache::serve(elsewhere.path("cache"));
        let here = Host::new(nix, "");
        let (url, key) = (&cache.url, fs::read_to_string(public).unwrap());
        here.configure(&format!(
            "{WITHOUT_USERS}\nsubstituters = {url}\ntrusted-public-keys = {key}"
        ));
        Self {
            elsewhere,
            here,
            cache,
        }
    }

    /// Builds it elsewhere and puts it into the cache.
    fn publish(&self, name: &str) {
        let path = realise(
            &self.elsewhere,
            &self.elsewhere.derivation(name, "", &script(name)),
        );
        let secret = self.elsewhere.path("secret");
        let folder = self.elsewhere.path("cache");
        let to = format!(
            "file://{}?secret-key={}",
            folder.display(),
            secret.display()
        );
        self.elsewhere.run("nix", &["copy", "--to", &to, &path]);
    }

    /// Gets it here, by whatever way Nix finds.
    fn get(&self, name: &str, attributes: &str) -> String {
        realise(
            &self.here,
            &self.here.derivation(name, attributes, &script(name)),
        )
    }

    /// Builds it elsewhere and copies it here.
    fn import(&self, name: &str) -> String {
        let path = realise(
            &self.elsewhere,
            &self.elsewhere.derivation(name, "", &script(name)),
        );
        let file = self.here.path("export");
        let export = self.elsewhere.output("nix-store", &["--export", &path]);
        fs::write(&file, export.stdout).unwrap();
        let mut import = self.here.command("nix-store", &["--import"]);
        import
            .stdin(fs::File::open(&file).unwrap())
            .stdout(Stdio::null());
        assert!(import.status().unwrap().success());
        path
    }

    fn look(&self, cursor: Option<Cursor>) -> Look {
        self.look_with(cursor, default_dir(&self.here.layout()))
    }

    fn look_with(&self, cursor: Option<Cursor>, cache_dir: PathBuf) -> Look {
        let layout = self.here.layout();
        let conf = NixConf::read(&layout).unwrap();
        Look::take(&layout, &conf, &cache_dir, cursor).unwrap()
    }

    fn begin(&self) -> Cursor {
        let file = self.here.path("root/first");
        fs::write(&file, "first").unwrap();
        self.here
            .run("nix-store", &["--add", file.to_str().unwrap()]);
        let first = self.look(None);
        assert_eq!(first.added, [], "the first look only says where to begin");
        first.cursor
    }
}

fn script(name: &str) -> String {
    format!("echo {name} > $out")
}

fn realise(host: &Host, derivation: &str) -> String {
    host.run("nix-store", &["--realise", derivation])
}

fn by_path(look: &Look) -> HashMap<&str, &Added> {
    look.added
        .iter()
        .map(|added| (added.path.as_str(), added))
        .collect()
}

#[test]
fn what_it_would_take_to_have_a_path_again_is_what_its_origin_says() {
    for nix in lab::all_nix() {
        let case = Case::new(nix);
        case.publish("cached");
        case.begin();
        let cached = case.get("cached", "");
        let built = case.get("not-cached", "");
        let copied = case.import("copied");

        let layout = case.here.layout();
        let graph = Graph::read(&layout).unwrap();
        let id = |path: &str| {
            let name = path.rsplit('/').next().unwrap();
            graph.find(name).unwrap()
        };
        let all: Vec<_> = graph.ids().collect();
        let read = |conf: &NixConf, now| {
            let regrets = Regrets::read(&layout, conf, &default_dir(&layout), &graph, &all, now);
            assert!(regrets.unreadable.is_empty(), "{:?}", regrets.unreadable);
            [&cached, &built, &copied].map(|path| regrets.of(id(path)))
        };
        let conf = NixConf::read(&layout).unwrap();
        let now = SystemTime::now();
        let [of_cached, of_built, of_copied] = read(&conf, now);
        assert_eq!((of_cached, of_copied), (Regret::Download, Regret::Fetch));
        assert!(
            matches!(
                of_built,
                Regret::Build {
                    seconds: Some(0..60)
                }
            ),
            "{of_built:?}"
        );

        // An old answer, and one of a substituter that is no longer asked, are none.
        let later = now + Duration::from_secs(31 * 86_400);
        assert_eq!(read(&conf, later)[0], Regret::Fetch);
        let other = NixConf {
            substituters: vec!["https://elsewhere.example/".to_owned()],
            ..conf
        };
        assert_eq!(read(&other, now)[0], Regret::Fetch);
    }
}

#[test]
fn each_new_path_is_classed_by_where_it_came_from() {
    for nix in lab::all_nix() {
        let case = Case::new(nix);
        case.publish("cached");
        let cursor = case.begin();

        let cached = case.get("cached", "");
        let built = case.get("not-cached", "");
        let private = case.get("private", "allowSubstitutes = false;");
        let copied = case.import("copied");
        let look = case.look(Some(cursor));

        assert!(look.substituters.is_ok(), "{:?}", look.substituters);
        assert_eq!(look.vanished, 0);
        let found = by_path(&look);
        let url = case.cache.url.clone();
        let Origin::Substituted {
            from,
            download_bytes,
        } = &found[&*cached].origin
        else {
            panic!("{:?}", found[&*cached]);
        };
        assert_eq!(from.as_ref(), Some(&url));
        assert!(download_bytes.is_some());
        assert_eq!(found[&*built].origin, Origin::Built);
        assert_eq!(
            found[&*built].missed_by,
            MissedBy::Substituters(vec![url.clone()])
        );
        assert_eq!(found[&*private].origin, Origin::Built);
        assert_eq!(found[&*private].missed_by, MissedBy::Nobody);
        assert_eq!(found[&*copied].origin, Origin::Copied);
        let derivations = look
            .added
            .iter()
            .filter(|added| added.path.ends_with(".drv"));
        assert!(derivations.clone().count() > 0);
        assert!(
            derivations
                .into_iter()
                .all(|added| added.origin == Origin::Source)
        );

        let mut tally = Tally::default();
        tally.count(&look);
        assert_eq!((tally.substituted.paths, tally.built.paths), (1, 2));
        assert_eq!((tally.copied.paths, tally.misses.paths), (1, 1));
        let substituter = tally.substituters[&url];
        assert_eq!((substituter.hits.paths, substituter.misses.paths), (1, 1));

        let again = case.look(Some(look.cursor));
        assert_eq!(again.added, [], "nothing is counted twice");
    }
}

#[test]
fn a_substituter_that_refuses_with_403_is_a_miss_as_nix_takes_it_for_one() {
    for nix in lab::all_nix() {
        let case = Case::new(nix);
        case.publish("refused");
        let cursor = case.begin();
        case.cache.refuse();
        let path = case.get("refused", "");
        let look = case.look(Some(cursor));
        let found = by_path(&look)[&*path];
        assert_eq!(found.origin, Origin::Built);
        let expected = MissedBy::Substituters(vec![case.cache.url.clone()]);
        assert_eq!(found.missed_by, expected);
    }
}

#[test]
fn a_path_that_came_and_went_between_two_looks_is_counted_as_such() {
    for nix in lab::all_nix() {
        let case = Case::new(nix);
        case.publish("anything");
        let cursor = case.begin();
        let path = case.get("short-lived", "");
        case.here.run("nix-store", &["--delete", &path]);
        let look = case.look(Some(cursor));
        assert_eq!(look.vanished, 1);
        assert!(!by_path(&look).contains_key(&*path));
    }
}

#[test]
fn without_the_right_to_see_what_nix_remembers_hits_and_misses_keep_no_name() {
    let case = Case::new(lab::nix("bookworm"));
    case.publish("cached");
    let cursor = case.begin();
    let cached = case.get("cached", "");
    let built = case.get("not-cached", "");
    let private = case.get("private", "allowSubstitutes = false;");
    // A folder that not even root can look into.
    let knot = case.here.path("knot");
    std::os::unix::fs::symlink("knot", &knot).unwrap();
    let look = case.look_with(Some(cursor), knot);
    assert_eq!(look.substituters.as_ref().unwrap_err().kind, Kind::Io);
    let found = by_path(&look);
    let unnamed = Origin::Substituted {
        from: None,
        download_bytes: None,
    };
    assert_eq!(found[&*cached].origin, unnamed);
    assert_eq!(found[&*built].missed_by, MissedBy::Unknown);
    assert_eq!(found[&*private].missed_by, MissedBy::Nobody);
}

#[test]
fn looking_leaves_no_file_behind_and_changes_none() {
    for nix in lab::all_nix() {
        let case = Case::new(nix);
        case.publish("cached");
        let cursor = case.begin();
        case.get("cached", "");
        let dir = default_dir(&case.here.layout());
        let before = listing(&dir);
        assert!(case.look(Some(cursor)).substituters.is_ok());
        assert_eq!(listing(&dir), before);
    }
}

fn listing(dir: &std::path::Path) -> Vec<(PathBuf, u64, std::time::SystemTime)> {
    let mut files: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            let meta = entry.metadata().unwrap();
            (entry.path(), meta.len(), meta.modified().unwrap())
        })
        .collect();
    files.sort();
    files
}
