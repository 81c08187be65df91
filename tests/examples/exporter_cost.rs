//! What the exporter costs a host: resident memory beside node_exporter's, and how long builds
//! take while the exporter is asked without pause and while it is not there.
//!
//! Usage: `exporter_cost EXPORTER PATHS PAIRS`, as root, in `tests/lab/enter`.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use nix::mount::{MsFlags, mount};
use snowguard_tests::{
    daemon::Daemon,
    lab,
    random_store::{Dice, RandomStore, Shape},
};

const PATIENCE: Duration = Duration::from_secs(600);
/// How many builds are timed.
const BUILDS: usize = 200;

fn main() {
    let mut args = std::env::args_os().skip(1);
    let exporter = PathBuf::from(args.next().expect("the program snowguard-exporter"));
    let mut number = |what| {
        let text = args.next();
        let number: Option<usize> = text.and_then(|text| text.to_str()?.parse().ok());
        number.expect(what)
    };
    let (paths, pairs) = (number("paths"), number("pairs"));
    let dir = tempfile::tempdir().unwrap();
    let nix = lab::nix("bookworm");
    let shape = Shape {
        paths,
        strays: paths / 100,
        references: 17,
    };
    let store = RandomStore::make(dir.path(), &nix, shape, &mut Dice::new(1));
    weighty(&store);
    // The host's own place, in this mount namespace alone: builders have their paths in them.
    let private = Some(&store.root.join("nix"));
    mount(
        private,
        "/nix",
        None::<&str>,
        MsFlags::MS_BIND,
        None::<&str>,
    )
    .unwrap();

    memory(&exporter, dir.path(), paths);
    cost(&exporter, &nix, &store, dir.path(), pairs);
}

/// Gives every path something to weigh: a directory with files, some of them shared as
/// `--optimise` shares them.
fn weighty(store: &RandomStore) {
    let links = store.root.join("nix/store/.links");
    fs::create_dir_all(&links).unwrap();
    for (number, name) in store.valid.iter().enumerate() {
        let place = store.place(name);
        if !place.is_dir() {
            continue;
        }
        for file in 0..8 {
            let kept = links.join(format!("{}", (number * 8 + file) % (store.valid.len() * 4)));
            if !kept.exists() {
                fs::write(&kept, [7; 100]).unwrap();
            }
            fs::hard_link(&kept, place.join(format!("file-{file}"))).unwrap();
        }
    }
}

/// Starts a server, and its address once it says it.
fn serve(program: &Path, args: &[&str], marker: &str, log: &Path) -> (Daemon, SocketAddr) {
    let daemon = Daemon::start(Command::new(program).args(args), log);
    let line = daemon.logged(marker);
    let (_, address) = line.split_once("address=").unwrap();
    let address = address.split_whitespace().next().unwrap().trim_matches('"');
    (
        daemon,
        address.replace("[::]", "127.0.0.1").parse().unwrap(),
    )
}

fn snowguard(exporter: &Path, dir: &Path) -> (Daemon, SocketAddr) {
    let args = ["--web.listen-address", "127.0.0.1:0"];
    // The address of the one before is of no use.
    let log = dir.join("exporter.log");
    let _ = fs::remove_file(&log);
    serve(exporter, &args, "msg=listening", &log)
}

fn scrape(address: SocketAddr) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream
        .write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .unwrap();
    let mut page = String::new();
    stream.read_to_string(&mut page).unwrap();
    page
}

/// KiB that a process has in memory now, and the most it ever had.
fn resident(daemon: &Daemon) -> (u64, u64) {
    let status = fs::read_to_string(format!("/proc/{}/status", daemon.id())).unwrap();
    let field = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    };
    (field("VmRSS:"), field("VmHWM:"))
}

fn memory(exporter: &Path, dir: &Path, paths: usize) {
    let (ours, address) = snowguard(exporter, dir);
    // The thread that weighs runs when nobody else wants to: on a busy machine that takes a while.
    let begun = Instant::now();
    while !scrape(address).contains("\nnix_store_reclaimable_complete 1\n") {
        assert!(begun.elapsed() < PATIENCE, "the dead were never weighed");
        thread::sleep(Duration::from_millis(200));
    }
    let program = lab::dir().join("bin/node_exporter");
    let args = ["--web.listen-address=127.0.0.1:0"];
    let (theirs, beside) = serve(&program, &args, "Listening on", &dir.join("node.log"));
    for _ in 0..20 {
        scrape(address);
        scrape(beside);
        thread::sleep(Duration::from_millis(500));
    }
    let page = scrape(address);
    let dead = page
        .lines()
        .find(|line| line.starts_with("nix_store_dead_paths "));
    println!("{paths} paths, {}", dead.unwrap_or_default());
    println!("| program | resident, KiB | at most, KiB |\n|---|---|---|");
    for (name, daemon) in [("snowguard-exporter", &ours), ("node_exporter", &theirs)] {
        let (now, most) = resident(daemon);
        println!("| `{name}` | {now} | {most} |");
    }
}

/// Seconds for so many builds of nothing.
fn builds(nix: &lab::Nix, store: &RandomStore, nonce: usize) -> f64 {
    let expression = format!(
        "map (n: derivation {{ name = \"b${{toString n}}\"; system = builtins.currentSystem; \
         builder = \"/bin/sh\"; args = [ \"-c\" \"echo {nonce} > $out\" ]; }}) \
         (builtins.genList (n: n) {BUILDS})"
    );
    let mut command = nix.command("nix-build", &store.home);
    command.args(["--no-out-link", "--option", "sandbox", "false"]);
    command.args([
        "--option",
        "build-users-group",
        "",
        "--option",
        "substitute",
        "false",
    ]);
    command.args(["-j", "1", "-E", &expression]);
    let begun = Instant::now();
    let built = lab::stdout("nix-build", command.output());
    let time = begun.elapsed().as_secs_f64();
    assert_eq!(built.lines().count(), BUILDS);
    time
}

fn cost(exporter: &Path, nix: &lab::Nix, store: &RandomStore, dir: &Path, pairs: usize) {
    builds(nix, store, 0);
    let (mut with, mut without) = (Vec::new(), Vec::new());
    let mut scrapes = 0;
    for pair in 0..pairs {
        // Whoever is first has the colder caches: they take turns.
        for second in [false, true] {
            let nonce = 1 + pair * 2 + usize::from(second);
            if second == (pair % 2 == 0) {
                let (daemon, address) = snowguard(exporter, dir);
                scrape(address);
                let done = AtomicBool::new(false);
                with.push(thread::scope(|scope| {
                    let asking = scope.spawn(|| {
                        let mut count = 0;
                        while !done.load(Ordering::Relaxed) {
                            scrape(address);
                            count += 1;
                        }
                        count
                    });
                    let time = builds(nix, store, nonce);
                    done.store(true, Ordering::Relaxed);
                    scrapes += asking.join().unwrap();
                    time
                }));
                drop(daemon);
            } else {
                without.push(builds(nix, store, nonce));
            }
        }
    }
    println!("{BUILDS} builds, {pairs} times each, {scrapes} scrapes meanwhile");
    println!("| seconds | least | median | most |\n|---|---|---|---|");
    let mut medians = Vec::new();
    for (what, mut times) in [("alone", without), ("asked without pause", with)] {
        times.sort_by(f64::total_cmp);
        let [least, median, most] = [0, times.len() / 2, times.len() - 1].map(|at| times[at]);
        println!("| {what} | {least:.2} | {median:.2} | {most:.2} |");
        medians.push(median);
    }
    println!(
        "median slower by {:.1} %",
        (medians[1] / medians[0] - 1.0) * 100.0
    );
}
