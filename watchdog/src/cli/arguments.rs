//! What can be asked.

use std::path::PathBuf;

use snowguard_exporter::{
    config::Source,
    logging::{LogFormat, LogLevel},
    units::ByteSize,
};
use snowguard_host::Layout;

const AFTER_HELP: &str = "\
Exit codes:
  0  done; what could not be read is named on standard error, and the answer says it is not complete
  1  failure: the host could not be read, or the watchdog cannot run
  2  the command line, the configuration or a rule file is not valid
  3  refused, with the reason: a collection would not be begun now
  4  a collection freed less than it was to; what it freed stays freed";

const GENERATIONS_HELP: &str = "\
The profiles of the host (/nix/var/nix/profiles), root's own and those of the users: wherever an
automatic GC root names a generation, and in the homes of /etc/passwd (home-manager, nix profile).

Sizes are sums of NAR sizes, by the database, not of blocks on the disk:
  CLOSURE     the generation and all that it refers to
  ALONE       what dies if this generation's link goes and nothing else does
  OLDER FREE  what dies if all older generations go, but for the current, running, booted and
              boot-default ones";

const ROOTS_HELP: &str = "\
ALONE is what dies if this root goes and no other does; two roots of one path keep it together, and
neither alone. TOGETHER is what dies if all roots of the kind go. Both are sums of NAR sizes.
A stale link keeps nothing: what it points at is gone, not valid, or no link into the store (Nix
follows one link, not two). Nothing is unlinked.";

const RULES_HELP: &str = "\
Exit codes, as of promtool:
  0  every file is good, every test passed
  1  a file cannot be read or used, or a test failed, or the command line is not valid
  3  with --lint-fatal: a rule is there twice";

/// Watches a Nix host and heals it: garbage collection and rollback by the alerts that page people.
#[derive(Debug, clap::Parser)]
#[command(name = "snowguard", version, after_help = AFTER_HELP)]
pub(crate) struct Arguments {
    /// The host as seen from this directory: a live host, a chroot store or a fixture tree.
    #[arg(long, global = true, value_name = "DIR", default_value = "/")]
    root: PathBuf,

    /// The process file system.
    #[arg(long = "proc", global = true, value_name = "DIR", hide = true)]
    proc_dir: Option<PathBuf>,

    /// The configuration; /etc/snowguard/snowguard.toml if there is one.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,

    /// The least important messages to log.
    #[arg(
        long = "log.level",
        global = true,
        value_enum,
        default_value = "info",
        value_name = "LEVEL"
    )]
    pub(super) log_level: LogLevel,

    /// How to write the log.
    #[arg(
        long = "log.format",
        global = true,
        value_enum,
        default_value = "logfmt",
        value_name = "FORMAT"
    )]
    pub(super) log_format: LogFormat,

    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Watch the host until SIGTERM; SIGHUP reads configuration and rules again.
    Watch,
    /// Say how the host is, what fires, and what the remedies are at; latched remedies first.
    Status(Facts),
    /// Say what the store holds, and what deleting all that is dead would free on the disk.
    Store(Store),
    /// List the generations of every profile, what each holds, and what giving up the older ones frees.
    #[command(after_help = GENERATIONS_HELP)]
    Generations(Facts),
    /// Say what a remedy would do now, without doing it.
    Plan {
        #[command(subcommand)]
        what: Planned,
    },
    /// Free space now: show the plan, ask, and carry it out within the configured limits.
    #[command(after_help = AFTER_HELP)]
    Gc(Gc),
    /// Let nothing be collected until `snowguard release`; also ends a collection that goes on.
    Hold(Hold),
    /// Tell what was decided and done, incident by incident.
    History(History),
    /// Check the configuration and the rule files.
    CheckConfig(CheckConfig),
    /// Check rule files, or run their unit tests, as promtool does.
    Rules {
        #[command(subcommand)]
        what: Rules,
    },
    /// Say that the system that runs is well, where `rollback.require_confirmation` asks for it.
    #[command(after_help = AFTER_HELP)]
    Confirm(Confirm),
    /// End a hold, the hold of an updater, an open breaker and the wait after a collection that did not
    /// help, and let a latched remedy begin anew, after you have looked why.
    Release(Release),
}

#[derive(Debug, clap::Subcommand)]
pub(super) enum Planned {
    /// What a collection would delete, what it would give up, and what it would never touch.
    #[command(after_help = AFTER_HELP)]
    Gc(PlanGc),
}

#[derive(Debug, clap::Subcommand)]
pub(super) enum Rules {
    /// Check rule files: those that Prometheus 3 would refuse are refused, and so is what cannot be
    /// evaluated on a host, by name.
    #[command(after_help = RULES_HELP)]
    Check(CheckRules),
    /// Run unit tests of rules, in the format of `promtool test rules`.
    #[command(after_help = RULES_HELP)]
    Test(TestRules),
}

#[derive(Debug, clap::Args)]
pub(super) struct CheckRules {
    /// What to look for beside errors, with commas between: all, duplicate-rules (rules with the
    /// name and the labels of another one in their file), or none.
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "duplicate-rules",
        value_name = "WHAT"
    )]
    pub(super) lint: Vec<String>,

    /// End with 3 if that finds something.
    #[arg(long)]
    pub(super) lint_fatal: bool,

    /// Rule files; standard input if there is none.
    #[arg(value_name = "FILE")]
    pub(super) files: Vec<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(super) struct TestRules {
    /// Test files.
    #[arg(value_name = "FILE", required = true)]
    pub(super) files: Vec<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(super) struct Facts {
    /// Print JSON: bytes, and times in UTC.
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct CheckConfig {
    #[command(flatten)]
    pub(super) facts: Facts,

    /// The file is for another host: do not compare its limits with the disks of this one.
    #[arg(long)]
    pub(super) elsewhere: bool,
}

#[derive(Debug, clap::Subcommand)]
pub(super) enum Pins {
    /// List the roots and what each alone keeps, the largest first; those that are stale last.
    #[command(after_help = ROOTS_HELP)]
    Roots(Facts),
    /// Say what keeps a path: the shortest chain from a root to it.
    Why(Why),
}

#[derive(Debug, clap::Args)]
pub(super) struct Why {
    /// A store path or something in it, a link to one, a base name, or the beginning of a hash part.
    pub(super) path: String,

    /// List all roots that reach it, as `nix-store --query --roots`.
    #[arg(long)]
    pub(super) all: bool,

    #[command(flatten)]
    pub(super) facts: Facts,
}

#[derive(Debug, clap::Args)]
pub(super) struct Store {
    #[command(subcommand)]
    pub(super) what: Option<Pins>,

    /// Print the dead paths and nothing else, one on a line, as `nix-store --gc --print-dead`.
    #[arg(long)]
    pub(super) dead: bool,

    #[command(flatten)]
    pub(super) facts: Facts,
}

#[derive(Debug, clap::Args)]
pub(super) struct PlanGc {
    /// Plan to free this much, such as 20GiB; without it, what is missing to `gc.target`.
    #[arg(long, value_name = "SIZE")]
    pub(super) free: Option<ByteSize>,

    #[command(flatten)]
    pub(super) facts: Facts,
}

#[derive(Debug, clap::Args)]
pub(super) struct Gc {
    #[command(flatten)]
    pub(super) plan: PlanGc,

    /// Show the plan, and do nothing.
    #[arg(long)]
    pub(super) dry_run: bool,

    /// Do not ask. Without a terminal nobody can be asked, and nothing is done without this.
    #[arg(long)]
    pub(super) yes: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct Hold {
    /// Why, for whoever wonders later.
    #[arg(long, value_name = "TEXT")]
    pub(super) reason: Option<String>,

    /// Say what would be done, and do nothing.
    #[arg(long)]
    pub(super) dry_run: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct History {
    /// Tell of this incident only.
    #[arg(long, value_name = "NAME")]
    pub(super) incident: Option<String>,

    /// Print the records as JSON, one on a line.
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct Confirm {
    /// Confirm this system alone, a store path; another one that runs is refused.
    #[arg(long, value_name = "PATH")]
    pub(super) system: Option<String>,

    /// Say what would be done, and do nothing.
    #[arg(long)]
    pub(super) dry_run: bool,

    /// Do not ask.
    #[arg(long)]
    pub(super) yes: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct Release {
    /// Say what would be done, and do nothing.
    #[arg(long)]
    pub(super) dry_run: bool,

    /// Do not ask.
    #[arg(long)]
    pub(super) yes: bool,
}

impl Arguments {
    /// The host to look at.
    pub(super) fn layout(&self) -> Layout {
        let layout = Layout::at(&self.root);
        match &self.proc_dir {
            Some(proc_dir) => layout.with_proc(proc_dir),
            None => layout,
        }
    }

    /// Where the settings come from.
    pub(super) fn source(&self) -> Source {
        match &self.config {
            Some(path) => Source::Named(path.clone()),
            None => Source::Default,
        }
    }
}
