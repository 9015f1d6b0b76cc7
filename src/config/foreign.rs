//! Environment names of others that are understood, because bots in the field are set up with them. They count as the
//! environment, after the `SWITCHBOARD_` names, and only for what all bots share: a bot's own keys go before them.

/// How a foreign value becomes one of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// As it is.
    Plain,
    /// A host name, whose URL is `https://` and that.
    Domain,
    /// A switch: on is mode `webhook`, off is mode `polling`.
    WebhookSwitch,
    /// The host of the public listener.
    ListenHost,
    /// A ratio, where the sampler that is set beside it goes by one.
    SampleRatio,
    /// The port of the public listener; a platform that sets it reaches the process from outside.
    ListenPort,
}

/// One foreign name.
#[derive(Debug)]
pub(super) struct Foreign {
    /// The variable.
    pub(super) variable: &'static str,
    /// The key that it sets.
    pub(super) key: &'static str,
    /// How it is read.
    pub(super) reading: Reading,
}

const fn name(variable: &'static str, key: &'static str, reading: Reading) -> Foreign {
    Foreign { variable, key, reading }
}

/// The table. Of several names for one key the first that is set is taken.
pub(super) static FOREIGN: &[Foreign] = &[
    name("TELEGRAM_BOT_TOKEN", "token", Reading::Plain),
    name("BOT_TOKEN", "token", Reading::Plain),
    name("TELEGRAM_WEBHOOK_URL", "webhook.url", Reading::Plain),
    name("WEBHOOK_URL", "webhook.url", Reading::Plain),
    name("WEBHOOK_PATH", "webhook.path", Reading::Plain),
    name("WEBHOOK_ENABLED", "mode", Reading::WebhookSwitch),
    name("USE_WEBHOOK", "mode", Reading::WebhookSwitch),
    name("RAILWAY_PUBLIC_DOMAIN", "public.url", Reading::Domain),
    name("WEBAPP_HOST", "public.listen", Reading::ListenHost),
    name("WEBAPP_PORT", "public.listen", Reading::ListenPort),
    name("PORT", "public.listen", Reading::ListenPort),
    name("HTTPS_PROXY", "telegram.proxy", Reading::Plain),
    name("https_proxy", "telegram.proxy", Reading::Plain),
    name("ALL_PROXY", "telegram.proxy", Reading::Plain),
    name("all_proxy", "telegram.proxy", Reading::Plain),
    name("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "tracing.otlp_endpoint", Reading::Plain),
    name("OTEL_EXPORTER_OTLP_ENDPOINT", "tracing.otlp_endpoint", Reading::Plain),
    name("OTEL_SERVICE_NAME", "tracing.service_name", Reading::Plain),
    name("OTEL_TRACES_SAMPLER_ARG", "tracing.sample_ratio", Reading::SampleRatio),
    name("NO_PROXY", "telegram.no_proxy", Reading::Plain),
    name("no_proxy", "telegram.no_proxy", Reading::Plain),
];

/// The variable that says what `OTEL_TRACES_SAMPLER_ARG` is about, and its values for which that is a ratio.
pub(super) const SAMPLER_VARIABLE: &str = "OTEL_TRACES_SAMPLER";
pub(super) const RATIO_SAMPLERS: [&str; 2] = ["traceidratio", "parentbased_traceidratio"];

/// The names, for the documentation's test.
pub fn names() -> impl Iterator<Item = &'static str> {
    FOREIGN.iter().map(|foreign| foreign.variable)
}
