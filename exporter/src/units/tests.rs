use std::time::Duration;

use super::{Amount, ByteSize, TimeSpan};
use proptest::prelude::{any, prop_assert_eq, proptest};

fn refused<T: std::str::FromStr<Err = super::UnitError>>(text: &str) -> String {
    match text.parse::<T>() {
        Ok(_) => panic!("{text:?} was accepted"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn durations_are_read_as_prometheus_reads_them() {
    let seconds = |text: &str| text.parse::<TimeSpan>().unwrap().0;
    assert_eq!(seconds("30s"), Duration::from_secs(30));
    assert_eq!(seconds("1h30m"), Duration::from_secs(5400));
    assert_eq!(seconds("250ms"), Duration::from_millis(250));
    assert_eq!(
        seconds("1y2w3d"),
        Duration::from_secs((365 + 14 + 3) * 86400)
    );
    assert_eq!(seconds("0"), Duration::ZERO);
}

#[test]
fn a_wrong_unit_is_refused_with_the_right_ones() {
    assert_eq!(
        refused::<TimeSpan>("30"),
        r#""30" is not a duration: the unit is missing; write 30s, 5m or 1h30m"#
    );
    assert_eq!(
        refused::<TimeSpan>("5min"),
        r#""5min" is not a duration: "min" is no unit of time; the units are ms, s, m, h, d, w and y"#
    );
    assert!(refused::<TimeSpan>("30m1h").contains("the largest first"));
    assert!(refused::<TimeSpan>("1m1m").contains("stands once"));
    assert!(refused::<TimeSpan>("").contains("does not begin with a number"));
    assert!(refused::<TimeSpan>("-5s").contains("does not begin with a number"));
    assert!(refused::<TimeSpan>("1.5h").contains("whole numbers only"));
    assert!(refused::<TimeSpan>("5 s").contains("no space"));
    assert!(refused::<TimeSpan>("999999999999999y").contains("too long"));
    assert_eq!(
        refused::<ByteSize>("20G"),
        r#""20G" is not a size: "G" is no unit of size; write 20GiB or 20GB"#
    );
    assert!(refused::<ByteSize>("20k").contains("write 20KiB or 20kB"));
    assert!(refused::<ByteSize>("20").contains("the unit is missing"));
    assert!(refused::<ByteSize>("20s").contains("is no unit of size; the units are B"));
    assert!(refused::<ByteSize>("20ü").contains("is no unit of size"));
    assert!(refused::<ByteSize>("99999999PiB").contains("too large"));
    assert!(refused::<ByteSize>("10%").contains("is no unit of size"));
    assert!(refused::<Amount>("101%").contains("at most 100%"));
    assert!(refused::<Amount>("300%").contains("at most 100%"));
    assert!(refused::<Amount>("12x%").contains("whole per cent"));
}

#[test]
fn a_share_is_taken_of_the_whole_without_rounding_up_or_overflow() {
    let share = |text: &str| text.parse::<Amount>().unwrap();
    assert_eq!(share("10%").of(1_000_000_007), 100_000_000);
    assert_eq!(share("100%").of(u64::MAX), u64::MAX);
    assert_eq!(share("20GiB").of(5), 20 << 30);
    assert_eq!(share("2MB").of(0), 2_000_000);
}

proptest! {
    #[test]
    fn what_is_shown_reads_back_as_the_same_value(bytes in any::<u64>(), millis in any::<u32>()) {
        let size = ByteSize(bytes);
        prop_assert_eq!(size.to_string().parse::<ByteSize>().unwrap(), size);
        let span = TimeSpan(Duration::from_millis(u64::from(millis)));
        prop_assert_eq!(span.to_string().parse::<TimeSpan>().unwrap(), span);
    }
}
