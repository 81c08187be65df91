//! OpenMetrics 1.0, written by prometheus-client from a collector over our samples.

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric, text::encode},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
    registry::Registry,
};

use super::classic::{Quotes, escape};
use crate::sample::{Family, Kind};

/// The families as a whole page that ends in `# EOF`.
pub(super) fn render(families: &[Family]) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Page(families.to_vec())));
    let mut out = String::new();
    // Writing to a String cannot fail, and the collector below fails for no other reason.
    let _ = encode(&mut out, &registry);
    out
}

/// One finished snapshot. It is collected before it is encoded: an error in `encode` would break
/// the page off without its `# EOF`.
#[derive(Debug)]
struct Page(Vec<Family>);

impl Collector for Page {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        for family in self.0.iter().filter(|family| !family.samples.is_empty()) {
            encode_family(&mut encoder, family)?;
        }
        Ok(())
    }
}

fn encode_family(
    encoder: &mut DescriptorEncoder<'_>,
    family: &Family,
) -> Result<(), std::fmt::Error> {
    // prometheus-client 0.25.2 escapes label values but writes HELP as it is, and adds `_total`
    // and `_info` to the name by itself.
    let mut help = String::new();
    escape(&mut help, &family.help, Quotes::Escaped);
    let kind = match family.kind {
        Kind::Gauge => MetricType::Gauge,
        Kind::Counter => MetricType::Counter,
        Kind::Info => MetricType::Info,
    };
    let mut metric = encoder.encode_descriptor(family.base_name(), &help, None, kind)?;
    for sample in &family.samples {
        let labels: Vec<(&str, &str)> = sample
            .labels
            .iter()
            .map(|(name, value)| (name.as_ref(), value.as_str()))
            .collect();
        match family.kind {
            Kind::Info => metric.encode_info(&labels)?,
            Kind::Gauge if labels.is_empty() => metric.encode_gauge(&sample.value)?,
            Kind::Counter if labels.is_empty() => {
                metric.encode_counter::<Vec<(&str, &str)>, _, f64>(&sample.value, None)?;
            }
            Kind::Gauge => {
                ConstGauge::new(sample.value).encode(metric.encode_family(&labels)?)?;
            }
            Kind::Counter => {
                ConstCounter::new(sample.value).encode(metric.encode_family(&labels)?)?;
            }
        }
    }
    Ok(())
}
