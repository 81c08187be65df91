//! Makes a large store for a benchmark, or finds it made: `make_store DIR PATHS`. Prints the
//! directory for `--root` and that of the home, one a line.

use std::path::PathBuf;

use snowguard_tests::{lab, large_store::LargeStore};

fn main() {
    let mut args = std::env::args_os().skip(1);
    let dir = PathBuf::from(args.next().expect("a directory"));
    let paths: usize = args
        .next()
        .and_then(|text| text.to_str()?.parse().ok())
        .expect("how many paths");
    std::fs::create_dir_all(&dir).expect("the directory");
    // The oldest schema that is read: all three indexes of `Refs`.
    let store = LargeStore::at(&dir, &lab::nix("bookworm"), paths);
    println!("{}\n{}", store.root.display(), store.home.display());
}
