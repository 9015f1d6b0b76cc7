//! What each metric is, as data: docs/metrics.md is made of it.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;

use super::labels::{Label, Labels};

/// The type of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only goes up; starts at 0 with the process.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Observations in buckets, with their sum and count.
    Histogram,
}

impl Kind {
    /// Its name in the exposition.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// One metric.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// Its name as `# TYPE` has it: with prefix and unit, without a counter's `_total`.
    pub family: String,
    /// Its type.
    pub kind: Kind,
    /// Its labels.
    pub labels: &'static [Label],
    /// What it says.
    pub help: &'static str,
    /// When to raise an alarm; empty where it is for looking only.
    pub alert: &'static str,
}

impl Description {
    /// Its name as it is asked for: a counter has `_total`; a histogram's series have `_bucket`, `_sum` and `_count`.
    #[must_use]
    pub fn scraped(&self) -> String {
        match self.kind {
            Kind::Counter => format!("{}_total", self.family),
            Kind::Gauge | Kind::Histogram => self.family.clone(),
        }
    }
}

/// What the documentation takes from a metric's type.
pub(super) trait Shape {
    const KIND: Kind;
    const LABELS: &'static [Label];
}

impl<N, A> Shape for Counter<N, A> {
    const KIND: Kind = Kind::Counter;
    const LABELS: &'static [Label] = &[];
}

impl<N, A> Shape for Gauge<N, A> {
    const KIND: Kind = Kind::Gauge;
    const LABELS: &'static [Label] = &[];
}

impl Shape for Histogram {
    const KIND: Kind = Kind::Histogram;
    const LABELS: &'static [Label] = &[];
}

impl<L: Labels, M: Shape, C> Shape for Family<L, M, C> {
    const KIND: Kind = M::KIND;
    const LABELS: &'static [Label] = L::ALL;
}
