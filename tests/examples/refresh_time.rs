//! How long it takes to read a store's graph.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use snowguard_host::{
    Layout, NixConf,
    store::{Analysis, Graph},
};

/// The best of five.
fn best(what: &str, mut run: impl FnMut()) -> Duration {
    let best = (0..5)
        .map(|_| {
            let begun = Instant::now();
            run();
            begun.elapsed()
        })
        .min()
        .unwrap();
    println!("{what}: {:.4} s", best.as_secs_f64());
    best
}

fn main() {
    let root = std::env::args_os().nth(1).expect("a root directory");
    let layout = Layout::at(Path::new(&root));
    let conf = NixConf::default();
    best("graph", || drop(Graph::read(&layout).unwrap()));
    let graph = Graph::read(&layout).unwrap();
    best("roots", || {
        drop(snowguard_host::store::Roots::read(&layout, &graph).unwrap())
    });
    best("mark", || {
        drop(snowguard_host::store::mark(
            &graph,
            Default::default(),
            graph.ids().take(1),
        ))
    });
    best("analysis", || drop(Analysis::read(&layout, &conf).unwrap()));
}
