use proptest::prelude::*;

use super::*;

proptest! {
    #[test]
    fn a_row_id_leads_to_its_place_however_many_rows_are_gone(
        gaps in proptest::collection::vec(prop_oneof![Just(1u32), 1..50u32, 1..30_000_000u32], 0..80)
    ) {
        let mut rowids = Vec::new();
        let mut last = 0u32;
        for gap in gaps {
            last = last.saturating_add(gap);
            if rowids.last() != Some(&last) {
                rowids.push(last);
            }
        }
        let positions = Positions::of(&rowids);
        for (position, rowid) in (0u32..).zip(&rowids) {
            prop_assert_eq!(positions.find(*rowid), Some(PathId(position)));
            for other in [rowid.saturating_sub(1), rowid.saturating_add(1)] {
                let expected = rowids.binary_search(&other).ok();
                let found = positions.find(other).map(PathId::index);
                prop_assert_eq!(found, expected);
            }
        }
        prop_assert_eq!(positions.find(0), None);
    }
}
