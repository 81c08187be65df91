//! The sizes of closures, many at once.

use super::{Graph, PathId, PathSet, Share};

/// As many closures as are measured in one sweep: one bit of a word each.
const AT_ONCE: usize = 64;

/// The closure of each path over references alone, as `nix path-info --closure-size` sums it, the
/// path itself included. The settings of the collector make no difference to it.
///
/// Paths are put in order once, referrers before what they refer to, and each sweep along that
/// order measures 64 closures: the time of some walks over the graph, however many there are.
pub fn closures(graph: &Graph, of: &[PathId]) -> Vec<Share> {
    let order = referrers_first(graph, of);
    let mut shares = vec![Share::default(); of.len()];
    let mut in_closures = vec![0u64; graph.len()];
    for (batch, shares) in of.chunks(AT_ONCE).zip(shares.chunks_mut(AT_ONCE)) {
        in_closures.fill(0);
        for (bit, id) in batch.iter().enumerate() {
            in_closures[id.index()] |= 1 << bit;
        }
        while sweep(graph, &order, &mut in_closures) {}
        for id in &order {
            let mut rest = in_closures[id.index()];
            while rest != 0 {
                shares[rest.trailing_zeros() as usize].add(graph, *id);
                rest &= rest - 1;
            }
        }
    }
    shares
}

/// One sweep; true if the references run in a circle, so that a path that was passed already
/// got more. Nix registers no such references, but a database can have them.
fn sweep(graph: &Graph, order: &[PathId], in_closures: &mut [u64]) -> bool {
    let mut again = false;
    let mut passed = PathSet::new(graph.len());
    for id in order {
        passed.insert(*id);
        let bits = in_closures[id.index()];
        if bits == 0 {
            continue;
        }
        for reference in graph.references(*id) {
            let theirs = &mut in_closures[reference.index()];
            if *theirs | bits != *theirs {
                *theirs |= bits;
                again |= passed.contains(*reference);
            }
        }
    }
    again
}

/// All paths of the closures, each before what it refers to, unless that is a circle.
fn referrers_first(graph: &Graph, of: &[PathId]) -> Vec<PathId> {
    let mut order = Vec::new();
    let mut seen = PathSet::new(graph.len());
    let mut open: Vec<(PathId, usize)> = Vec::new();
    for id in of {
        if seen.insert(*id) {
            open.push((*id, 0));
        }
        while let Some((id, next)) = open.last_mut() {
            if let Some(reference) = graph.references(*id).get(*next) {
                *next += 1;
                if seen.insert(*reference) {
                    open.push((*reference, 0));
                }
            } else {
                order.push(*id);
                open.pop();
            }
        }
    }
    order.reverse();
    order
}

#[cfg(test)]
mod tests;
