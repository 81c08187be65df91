use super::*;

#[test]
fn one_reference_more_than_a_graph_holds_is_refused_and_not_wrapped_around() {
    let mut references = References::at_most(2);
    assert_eq!(references.push(1, 2), Ok(()));
    assert_eq!(references.push(1, 3), Ok(()));
    let refused = references.push(2, 3).unwrap_err();
    assert!(refused.contains("more than 2 references"), "{refused}");
    // Whatever limit is asked for, a position must fit 32 bits.
    assert_eq!(References::at_most(usize::MAX).most, u32::MAX as usize);
}

#[test]
fn outputs_count_towards_the_same_limit() {
    let mut pairs = vec![(PathId(0), PathId(1)), (PathId(0), PathId(2))];
    assert!(outputs(&mut pairs.clone(), 3, 1).is_err());
    assert_eq!(outputs(&mut pairs, 3, 2).unwrap().len(), 2);
}

#[test]
fn a_row_id_beyond_32_bits_is_refused_and_not_cut_off() {
    let mut references = References::at_most(MOST);
    for (referrer, reference) in [(1 << 32, 1), (1, 1 << 32), (-1, 1), (1, -1)] {
        assert!(references.push(referrer, reference).is_err());
    }
}

#[test]
fn references_that_come_out_of_order_are_an_error_and_no_other_graph() {
    let mut references = References::at_most(MOST);
    for (referrer, reference) in [(2, 1), (1, 2), (2, 2)] {
        references.push(referrer, reference).unwrap();
    }
    assert!(references.finish(&Positions::of(&[1, 2]), 2).is_err());
}
