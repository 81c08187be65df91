//! What `store roots`, `store why` and `generations` read: the graph and its roots, without the
//! store directory.

use serde::Serialize;
use snowguard_host::{
    FactError, Layout, NixConf,
    store::{Graph, Keep, Root, RootKind, Roots},
};

use crate::cli::text;

/// What is kept by what.
pub(in crate::cli) struct Kept {
    pub(in crate::cli) graph: Graph,
    pub(in crate::cli) keep: Keep,
    pub(in crate::cli) roots: Roots,
}

impl Kept {
    pub(in crate::cli) fn read(layout: &Layout) -> Result<Self, FactError> {
        let conf = NixConf::read(layout)?;
        let graph = Graph::read(layout)?;
        let mut roots = Roots::read(layout, &graph)?;
        roots.doubt_settings(&conf);
        Ok(Self {
            keep: Keep::of(&conf),
            graph,
            roots,
        })
    }
}

/// A root as JSON.
#[derive(Debug, Serialize)]
pub(super) struct RootView {
    /// The link, the file, or a place in `/proc`.
    link: String,
    /// The link below `gcroots` or `profiles` that leads to it, if that is another one.
    via: Option<String>,
    kind: RootKind,
    origin: &'static str,
    store_path: String,
    made: Option<String>,
}

impl RootView {
    pub(super) fn of(root: &Root, graph: &Graph) -> Self {
        Self {
            link: text::lossless(&root.link),
            via: root.via.as_ref().map(text::lossless),
            kind: root.kind,
            origin: root.origin().word(),
            store_path: graph.store_path(root.path),
            made: root.made.map(text::time),
        }
    }
}
