//! What the exporter costs a host: resident memory beside node_exporter's, and how long builds
//! take while the exporter is asked fifty times a second, far more often than it collects anew, and
//! while it is not there.
//!
//! Usage: `exporter_cost EXPORTER PATHS PAIRS [ROOT...]`, as root, in `tests/lab/enter`. Of the stores
//! below each ROOT the resident memory is said, too.

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
    let roots: Vec<PathBuf> = args.map(PathBuf::from).collect();
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
    for root in &roots {
        memory_of(&exporter, dir.path(), root);
    }
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
    let mut command = Command::new(program);
    // As in the exporter's unit; to node_exporter, which is Go, they mean nothing.
    for name in ["MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_"] {
        command.env(name, "65536");
    }
    let daemon = Daemon::start(command.args(args), log);
    let line = daemon.logged(marker);
    let (_, address) = line.split_once("address=").unwrap();
    let address = address.split_whitespace().next().unwrap().trim_matches('"');
    (
        daemon,
        address.replace("[::]", "127.0.0.1").parse().unwrap(),
    )
}

fn snowguard(exporter: &Path, dir: &Path) -> (Daemon, SocketAddr) {
    snowguard_of(exporter, dir, Path::new("/"))
}

fn snowguard_of(exporter: &Path, dir: &Path, root: &Path) -> (Daemon, SocketAddr) {
    let root = root.to_str().unwrap();
    let args = ["--web.listen-address", "127.0.0.1:0", "--root", root];
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

/// A page of ours, of which all that reads the database has succeeded: a collection that fails
/// costs less than one that reads.
fn collected(address: SocketAddr) -> String {
    let page = scrape(address);
    for collector in ["store", "reclaimable", "substituters"] {
        let success =
            format!("\nsnowguard_scrape_collector_success{{collector=\"{collector}\"}} 1\n");
        assert!(page.contains(&success), "collector {collector} fails");
    }
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
    while !collected(address).contains("\nnix_store_reclaimable_complete 1\n") {
        assert!(begun.elapsed() < PATIENCE, "the dead were never weighed");
        thread::sleep(Duration::from_millis(200));
    }
    let program = lab::dir().join("bin/node_exporter");
    let args = ["--web.listen-address=127.0.0.1:0"];
    let (theirs, beside) = serve(&program, &args, "Listening on", &dir.join("node.log"));
    for _ in 0..20 {
        collected(address);
        scrape(beside);
        thread::sleep(Duration::from_millis(500));
    }
    let page = collected(address);
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

/// What the exporter has in memory for a store of a host's shape.
fn memory_of(exporter: &Path, dir: &Path, root: &Path) {
    let (ours, address) = snowguard_of(exporter, dir, root);
    let mut page = String::new();
    for _ in 0..20 {
        page = collected(address);
    }
    let paths = page
        .lines()
        .find(|line| line.starts_with("nix_store_paths "));
    let (now, most) = resident(&ours);
    println!(
        "| `snowguard-exporter`, {} | {now} | {most} |",
        paths.unwrap_or_default()
    );
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

/// What goes on beside the builds.
#[derive(Clone, Copy)]
enum Beside {
    Nothing,
    /// A thread that reads and writes nothing: what any work costs them on the other core.
    Counting,
    /// The exporter, asked fifty times a second. Whoever asks without any pause takes a core for
    /// himself, which costs what counting costs.
    Exporter,
}

fn cost(exporter: &Path, nix: &lab::Nix, store: &RandomStore, dir: &Path, pairs: usize) {
    builds(nix, store, 0);
    let all = [Beside::Nothing, Beside::Counting, Beside::Exporter];
    let mut times = [const { Vec::new() }; 3];
    let mut scrapes = 0;
    for turn in 0..pairs {
        // Whoever is first has the colder caches: they take turns.
        for at in 0..all.len() {
            let at = (at + turn) % all.len();
            let nonce = 1 + turn * all.len() + at;
            times[at].push(match all[at] {
                Beside::Nothing => builds(nix, store, nonce),
                Beside::Counting => beside(|| (), || builds(nix, store, nonce)).0,
                Beside::Exporter => {
                    let (_daemon, address) = snowguard(exporter, dir);
                    collected(address);
                    let ask = || {
                        collected(address);
                        thread::sleep(Duration::from_millis(20));
                    };
                    let (time, count) = beside(ask, || builds(nix, store, nonce));
                    scrapes += count;
                    time
                }
            });
        }
    }
    println!("{BUILDS} builds, {pairs} times each, {scrapes} scrapes meanwhile");
    println!(
        "| beside them | least, s | median | most | slower than alone, median | with 95 % certainty |"
    );
    println!("|---|---|---|---|---|---|");
    let names = [
        "nothing",
        "a thread that counts",
        "the exporter, asked 50 times a second",
    ];
    for (name, with) in names.iter().zip(&times) {
        // Of one turn the machine is more alike than over all of them.
        let ratios = sorted(
            with.iter()
                .zip(&times[0])
                .map(|(a, b)| (a / b - 1.0) * 100.0),
        );
        let with = sorted(with.iter().copied());
        let [least, median, most] = [0, pairs / 2, pairs - 1].map(|at| with[at]);
        let (low, high) = of_median(pairs);
        let (slower, low, high) = (ratios[pairs / 2], ratios[low], ratios[high]);
        println!(
            "| {name} | {least:.2} | {median:.2} | {most:.2} | {slower:.1} % | {low:.1} to {high:.1} % |"
        );
    }
}

/// Does one thing without pause while another is done: what that gave, and how often the first was
/// done.
fn beside<T>(without_pause: impl Fn() + Sync, once: impl FnOnce() -> T) -> (T, usize) {
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let going_on = scope.spawn(|| {
            let mut count = 0;
            while !done.load(Ordering::Relaxed) {
                without_pause();
                count += 1;
            }
            count
        });
        let gave = once();
        done.store(true, Ordering::Relaxed);
        (gave, going_on.join().unwrap())
    })
}

fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values
}

/// Which of so many sorted values enclose the median of all that could be drawn, with at least
/// 95 % certainty: the signs of the differences are as those of a coin.
fn of_median(count: usize) -> (usize, usize) {
    let (mut below, mut term, mut low) = (0.0, 0.5f64.powi(i32::try_from(count).unwrap()), 0);
    for at in 0..count / 2 {
        below += term;
        if below > 0.025 {
            break;
        }
        low = at;
        term *= (count - at) as f64 / (at + 1) as f64;
    }
    (low, count - 1 - low)
}
