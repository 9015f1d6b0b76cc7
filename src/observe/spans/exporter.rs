//! The task that sends spans to the collector.

use std::sync::Arc;
use std::time::Duration;

use opentelemetry::InstrumentationScope;
use opentelemetry_otlp::tonic_types::transport::ClientTlsConfig;
use opentelemetry_otlp::{ExporterBuildError, SpanExporter, WithExportConfig, WithTonicConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::SpanExporter as _;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;

use super::queue::Queue;
use super::{Recorder, Settings, data};
use crate::observe::metrics::Metrics;

/// Spans wait so long at most before they are sent.
const EVERY: Duration = Duration::from_secs(1);
/// How long one call to the collector may take, its retries included.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the end waits for the last spans to be sent.
const LAST_CALLS: Duration = Duration::from_secs(3);

/// Why spans cannot be sent.
#[derive(Debug, thiserror::Error)]
#[error("spans cannot be sent to {endpoint}: {source}; tracing.otlp_endpoint says where to")]
pub struct StartError {
    endpoint: Box<str>,
    source: ExporterBuildError,
}

/// The running task.
#[derive(Debug)]
pub struct Exporter {
    task: JoinHandle<()>,
    stop: oneshot::Sender<()>,
}

/// Starts sending what is recorded. Connects when there is something to send; until then nothing is known of the
/// collector.
///
/// # Errors
/// [`StartError`] if the endpoint cannot be one.
pub fn start(settings: &Settings, metrics: Metrics) -> Result<(Recorder, Exporter), StartError> {
    let endpoint = settings.endpoint.clone();
    let mut builder = SpanExporter::builder()
        .with_tonic()
        .with_endpoint(String::from(endpoint.clone()))
        .with_timeout(CALL_TIMEOUT);
    if endpoint.starts_with("https:") {
        builder = builder.with_tls_config(ClientTlsConfig::new().with_enabled_roots());
    }
    let mut exporter = builder.build().map_err(|source| StartError { endpoint: endpoint.clone(), source })?;
    let resource = Resource::builder().with_service_name(String::from(settings.service_name.clone()));
    exporter.set_resource(&resource.build());
    tracing::info!(%endpoint, sample_ratio = settings.sample_ratio, "traces are exported");

    let queue = Arc::new(Queue::new(metrics));
    let recorder = Recorder::new(Arc::clone(&queue), settings.sample_ratio);
    let scope = InstrumentationScope::builder("switchboard").with_version(env!("CARGO_PKG_VERSION")).build();
    let (stop, stopped) = oneshot::channel();
    let sender = Sender { queue, exporter, scope, endpoint, failing: false };
    Ok((recorder, Exporter { task: tokio::spawn(sender.run(stopped)), stop }))
}

impl Exporter {
    /// Sends what still waits, and ends. Waits for a few seconds at most.
    pub async fn finish(mut self) {
        // A task that has ended by itself has panicked, which the log says.
        let _ended = self.stop.send(());
        if tokio::time::timeout(LAST_CALLS, &mut self.task).await.is_err() {
            tracing::warn!("the last spans could not be sent in time");
            self.task.abort();
        }
    }
}

struct Sender {
    queue: Arc<Queue>,
    exporter: SpanExporter,
    scope: InstrumentationScope,
    endpoint: Box<str>,
    /// Whether the last call failed.
    failing: bool,
}

impl Sender {
    async fn run(mut self, mut stopped: oneshot::Receiver<()>) {
        let mut look = tokio::time::interval(EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut last = false;
        while !last {
            tokio::select! {
                _ = look.tick() => {}
                () = self.queue.filled.notified() => {}
                // An exporter that was dropped ends, too.
                _ = &mut stopped => last = true,
            }
            self.send_all().await;
        }
    }

    async fn send_all(&mut self) {
        loop {
            let spans = self.queue.take();
            if spans.is_empty() {
                return;
            }
            let count = spans.len();
            let batch = spans.into_iter().map(|span| data::span_data(span, &self.scope)).collect();
            let result = self.exporter.export(batch).await;
            self.note(count, result);
        }
    }

    /// Counts what became of a call; says in the log when that changes.
    fn note(&mut self, count: usize, result: OTelSdkResult) {
        let failed = result.is_err();
        let changed = std::mem::replace(&mut self.failing, failed) != failed;
        match result {
            Ok(()) => {
                self.queue.metrics.spans_exported.inc_by(count as u64);
                if changed {
                    tracing::info!(endpoint = %self.endpoint, "traces are exported again");
                }
            }
            Err(error) => {
                self.queue.dropped(count);
                if changed {
                    tracing::warn!(
                        endpoint = %self.endpoint,
                        %error,
                        "traces cannot be exported; spans are dropped until they can, and everything else goes on. Is an \
                         OTLP collector for gRPC there (tracing.otlp_endpoint)?"
                    );
                }
            }
        }
    }
}
