use proptest::prelude::*;

use super::*;

fn rows(csr: &Csr, count: u32) -> Vec<Vec<u32>> {
    let row = |id| csr.row(PathId(id)).iter().map(|to| to.0).collect();
    (0..count).map(row).collect()
}

#[test]
fn paths_without_edges_have_empty_rows_at_either_end() {
    let csr = Csr::collect(4, |edge| {
        edge(PathId(1), PathId(3));
        edge(PathId(1), PathId(0));
    });
    assert_eq!(rows(&csr, 4), [vec![], vec![3, 0], vec![], vec![]]);
    let empty: [Vec<u32>; 0] = [];
    assert_eq!(rows(&Csr::collect(0, |_| ()), 0), empty);
}

#[test]
fn a_row_can_be_appended_to_edges_of_any_number() {
    let mut csr = Csr::default();
    csr.push_row(&[PathId(0)]);
    csr.push_row(&[]);
    csr.push_row(&[PathId(1), PathId(2)]);
    assert_eq!(rows(&csr, 3), [vec![0], vec![], vec![1, 2]]);
    assert_eq!((csr.rows(), csr.len()), (3, 3));
}

proptest! {
    #[test]
    fn each_edge_is_in_its_row_in_the_order_of_the_calls(
        edges in proptest::collection::vec((0..9u32, 0..9u32), 0..40)
    ) {
        let mut expected = vec![Vec::new(); 9];
        for (from, to) in &edges {
            expected[*from as usize].push(*to);
        }
        let collected = Csr::collect(9, |edge| {
            for (from, to) in &edges {
                edge(PathId(*from), PathId(*to));
            }
        });
        prop_assert_eq!(&rows(&collected, 9), &expected);
    }
}
