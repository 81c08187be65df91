use proptest::prelude::*;

use super::*;

fn rows(csr: &Csr, count: u32) -> Vec<Vec<u32>> {
    let row = |id| {
        let mut row: Vec<u32> = csr.row(PathId(id)).iter().map(|to| to.0).collect();
        row.sort_unstable();
        row
    };
    (0..count).map(row).collect()
}

fn build(count: usize, edges: &[(u32, u32)]) -> Csr {
    let mut builder = Csr::builder(count);
    for (from, to) in edges {
        builder.push(PathId(*from), PathId(*to));
    }
    builder.finish()
}

#[test]
fn paths_without_edges_have_empty_rows_at_either_end() {
    assert_eq!(
        rows(&build(4, &[(1, 3), (1, 0)]), 4),
        [vec![], vec![0, 3], vec![], vec![]]
    );
    assert_eq!(rows(&build(0, &[]), 0), Vec::<Vec<u32>>::new());
}

#[test]
fn edges_that_come_late_are_in_the_row_of_their_source() {
    let csr = build(4, &[(2, 1), (0, 3), (3, 0), (2, 0), (0, 1)]);
    assert_eq!(rows(&csr, 4), [vec![1, 3], vec![], vec![0, 1], vec![0]]);
}

proptest! {
    #[test]
    fn each_edge_is_in_its_row_whatever_the_order(
        edges in proptest::collection::vec((0..9u32, 0..9u32), 0..40)
    ) {
        let mut expected = vec![Vec::new(); 9];
        for (from, to) in &edges {
            expected[*from as usize].push(*to);
        }
        expected.iter_mut().for_each(|row| row.sort_unstable());
        prop_assert_eq!(&rows(&build(9, &edges), 9), &expected);
        let collected = Csr::collect(9, |edge| {
            for (from, to) in &edges {
                edge(PathId(*from), PathId(*to));
            }
        });
        prop_assert_eq!(&rows(&collected, 9), &expected);
    }
}
