//! `label_replace` and `label_join` (`evalLabelReplace`, `evalLabelJoin` of promql/functions.go,
//! Prometheus 3.5).

use super::Element;
use crate::expr::Relabel;
use crate::labels::METRIC_NAME;

pub(super) fn relabel(relabel: &Relabel, element: &mut Element) {
    let (to, value) = match relabel {
        Relabel::Replace {
            to,
            replacement,
            from,
            pattern,
        } => {
            let Some(captures) = pattern.captures(element.labels.get(from)) else {
                return;
            };
            let mut value = String::new();
            replacement.expand(&captures, &mut value);
            (to, value)
        }
        Relabel::Join {
            to,
            separator,
            from,
        } => {
            let values = from.iter().map(|name| element.labels.get(name));
            (to, values.collect::<Vec<_>>().join(separator))
        }
    };
    element.labels.set(to, value);
    if to == METRIC_NAME {
        element.name_goes = false;
    }
}
